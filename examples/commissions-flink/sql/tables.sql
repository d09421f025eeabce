-- The connector's topics. It needs [schema_registry], for Flink has no format for Avro single objects.
-- Columns may be left out and stand in any order; those that the schemas have for nullable are nullable here.

-- After a crash it goes on from its last checkpoint, and what it wrote after that is never shown.
SET 'execution.checkpointing.interval' = '10s';
SET 'execution.checkpointing.externalized-checkpoint-retention' = 'RETAIN_ON_CANCELLATION';
SET 'parallelism.default' = '2';
-- The tables of results below are keyed by what their rows are grouped by, joined into one text. Flink does not see that, and
-- would keep all results once more to put them in order.
SET 'table.exec.sink.upsert-materialize' = 'NONE';

-- A TIMESTAMP(3) is UTC. Written by Kafka transactions: without read_committed aborted records are read, too.
CREATE TABLE touches (
  app_id STRING NOT NULL,
  promoter_openid STRING NOT NULL,
  openid STRING NOT NULL,
  create_time TIMESTAMP(3) NOT NULL
) WITH (
  'connector' = 'kafka',
  'topic' = 'promoter.touches',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'avro-confluent',
  'avro-confluent.url' = 'http://localhost:8081'
);

CREATE TABLE orders (
  app_id STRING NOT NULL,
  promoter_openid STRING NOT NULL,
  openid STRING NOT NULL,
  create_time TIMESTAMP(3),
  mch_id STRING NOT NULL,
  trade_no STRING NOT NULL,
  status STRING NOT NULL,
  paid_amount BIGINT NOT NULL,
  paid_time TIMESTAMP(3) NOT NULL
) WITH (
  'connector' = 'kafka',
  'topic' = 'promoter.orders',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'avro-confluent',
  'avro-confluent.url' = 'http://localhost:8081'
);
