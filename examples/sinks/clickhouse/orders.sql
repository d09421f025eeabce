CREATE TABLE IF NOT EXISTS orders_queue (
  event_id String, promoter_openid String, status String, paid_amount Int64, paid_time DateTime64(3, 'UTC'), refunded_time Nullable(DateTime64(3, 'UTC'))
) ENGINE = Kafka SETTINGS kafka_broker_list = 'localhost:9092', kafka_topic_list = 'promoter.orders', kafka_group_name = 'clickhouse',
  kafka_format = 'AvroConfluent', format_avro_schema_registry_url = 'http://localhost:8081';
CREATE TABLE IF NOT EXISTS orders AS orders_queue ENGINE = ReplacingMergeTree ORDER BY event_id;
CREATE MATERIALIZED VIEW IF NOT EXISTS orders_in TO orders AS SELECT * FROM orders_queue;
