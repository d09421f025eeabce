-- What each promoter has earned on each Beijing day, in fen: a share of what was paid, until the order is refunded.

CREATE TABLE commissions (
  `key` STRING NOT NULL,
  app_id STRING NOT NULL,
  promoter_openid STRING NOT NULL,
  `day` DATE NOT NULL,
  commission BIGINT NOT NULL,
  PRIMARY KEY (`key`) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'topic' = 'promoter.flink.commissions',
  'properties.bootstrap.servers' = 'localhost:9092',
  'key.format' = 'raw',
  'value.format' = 'avro-confluent',
  'value.avro-confluent.url' = 'http://localhost:8081',
  'value.fields-include' = 'EXCEPT_KEY',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'commissions-flink',
  'properties.transaction.timeout.ms' = '600000'
);

-- One row for each order, whatever comes first, its payment or a refund, and however many refunds it has. Fractions of a fen are cut
-- off, order by order: 500 hundredths of a percent are 5 %.
CREATE VIEW earned AS
SELECT
  app_id,
  promoter_openid,
  CAST(paid_time + INTERVAL '8' HOUR AS DATE) AS `day`,
  CASE WHEN COUNT(*) FILTER (WHERE status = 'REFUNDED') > 0 THEN 0
       ELSE MAX(paid_amount) FILTER (WHERE status = 'PAID') * 500 / 10000 END AS commission
FROM orders /*+ OPTIONS('properties.group.id' = 'commissions-flink') */
WHERE status IN ('PAID', 'REFUNDED')
GROUP BY app_id, promoter_openid, mch_id, trade_no, paid_time;

-- A later row of an order takes back what its earlier one has added, so a refund corrects the day of its payment. No windows, no
-- watermark: the day is a key, and nothing is too late for it.
INSERT INTO commissions
SELECT
  CONCAT_WS('/', app_id, promoter_openid, CAST(`day` AS STRING)),
  app_id,
  promoter_openid,
  `day`,
  SUM(commission)
FROM earned
GROUP BY app_id, promoter_openid, `day`;
