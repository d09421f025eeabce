-- Each payment with the promoter whom the upstream gives it to, beside the one through whose material the user came last before it.

CREATE TABLE attributions (
  `key` STRING NOT NULL,
  app_id STRING NOT NULL,
  mch_id STRING NOT NULL,
  trade_no STRING NOT NULL,
  paid_time TIMESTAMP(3) NOT NULL,
  paid_amount BIGINT NOT NULL,
  upstream_promoter STRING NOT NULL,
  upstream_touch TIMESTAMP(3),
  last_promoter STRING,
  last_touch TIMESTAMP(3),
  verdict STRING NOT NULL,
  PRIMARY KEY (`key`) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'topic' = 'promoter.flink.attributions',
  'properties.bootstrap.servers' = 'localhost:9092',
  'key.format' = 'raw',
  'value.format' = 'avro-confluent',
  'value.avro-confluent.url' = 'http://localhost:8081',
  'value.fields-include' = 'EXCEPT_KEY',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'attribution-flink',
  'properties.transaction.timeout.ms' = '600000'
);

-- The last touch of each payment's user, or none. The user is known by openid, so both topics must speak of users alike: openids of one
-- app, unionids, or pseudonyms of one key. It is a join by key, without windows: a touch that comes hours after the payment's
-- event still finds it. Where two promoters brought the user within one second, which is all that the upstream counts, the
-- smaller id wins, so that the answer does not depend on what came first.
CREATE VIEW last_touches AS
SELECT * FROM (
  SELECT
    o.app_id, o.mch_id, o.trade_no, o.paid_time, o.paid_amount,
    o.promoter_openid AS upstream_promoter,
    o.create_time AS upstream_touch,
    t.promoter_openid AS last_promoter,
    t.create_time AS last_touch,
    ROW_NUMBER() OVER (
      PARTITION BY o.app_id, o.promoter_openid, o.mch_id, o.trade_no
      ORDER BY t.create_time DESC, t.promoter_openid ASC
    ) AS place
  FROM orders /*+ OPTIONS('properties.group.id' = 'attribution-flink') */ AS o
  LEFT JOIN touches /*+ OPTIONS('properties.group.id' = 'attribution-flink') */ AS t
    ON t.app_id = o.app_id AND t.openid = o.openid AND t.create_time <= o.paid_time
  WHERE o.status = 'PAID'
) WHERE place = 1;

-- Why they differ, as far as the topics tell; README.md has the words.
INSERT INTO attributions
SELECT
  CONCAT_WS('/', app_id, upstream_promoter, mch_id, trade_no),
  app_id, mch_id, trade_no, paid_time, paid_amount, upstream_promoter, upstream_touch, last_promoter, last_touch,
  CASE
    WHEN last_promoter IS NULL THEN 'NO_TOUCH'
    WHEN last_promoter = upstream_promoter THEN 'SAME'
    WHEN upstream_touch IS NULL THEN 'UNTOLD'
    WHEN last_touch = upstream_touch THEN 'SAME_SECOND'
    WHEN last_touch > upstream_touch THEN 'LATER_TOUCH'
    ELSE 'MISSING_TOUCH'
  END
FROM last_touches;
