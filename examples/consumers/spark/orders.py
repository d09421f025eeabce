"""Reads promoter.orders with Spark's Structured Streaming and spark-avro, to the end as it is when it begins."""

import json
import sys
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql.avro.functions import from_avro
from pyspark.sql.functions import expr

SPARK = "3.5.7"
PACKAGES = f"org.apache.spark:spark-sql-kafka-0-10_2.12:{SPARK},org.apache.spark:spark-avro_2.12:{SPARK}"

bootstrap, topic, schema_file = sys.argv[1:]
schema_text = Path(schema_file).read_text()
spark = SparkSession.builder.master("local[2]").config("spark.jars.packages", PACKAGES).config("spark.ui.enabled", "false").getOrCreate()
orders = (spark.readStream.format("kafka").option("kafka.bootstrap.servers", bootstrap).option("subscribe", topic)
          # The second is said since Spark, as Java, shows what was aborted unless it is told not to.
          .option("startingOffsets", "earliest").option("kafka.isolation.level", "read_committed").load()
          # Behind C3 01 and the schema's fingerprint.
          .select(from_avro(expr("substring(value, 11)"), schema_text).alias("order")).select("order.*"))
# Into memory, to be counted; available now: until the end, and no further.
orders.writeStream.format("memory").queryName("orders").trigger(availableNow=True).start().awaitTermination()
[row] = spark.sql("""select count(*) as events, count(distinct event_id) as ids, sum(if(status = 'PAID', paid_amount, 0)) as paid from orders""").collect()
print(json.dumps(row.asDict()))
