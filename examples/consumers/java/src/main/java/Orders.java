import java.io.File;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Reads promoter.orders with the Java client and Avro until nothing has come for five seconds. */
public final class Orders {
    public static void main(String[] arguments) throws Exception {
        Map<String, Object> settings = Map.of(
            ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0],
            ConsumerConfig.GROUP_ID_CONFIG, "orders-java",
            ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest",
            // The default of the Java client shows what was aborted, too.
            ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
        Schema schema = new Schema.Parser().parse(new File(arguments[2]));
        // It finds the writer's schema by the fingerprint in front of each value. Later ones are added by addSchema.
        var decoder = new BinaryMessageDecoder<GenericRecord>(GenericData.get(), schema);
        long events = 0;
        long paid = 0;
        Set<String> ids = new HashSet<>();
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(arguments[1]));
            long last = System.nanoTime();
            // The group takes some seconds before the first one comes. A poll may also return without records because it has passed
            // markers of transactions: an empty answer is no end.
            while (System.nanoTime() - last < Duration.ofSeconds(events == 0 ? 30 : 5).toNanos()) {
                var records = consumer.poll(Duration.ofMillis(500));
                last = records.isEmpty() ? last : System.nanoTime();
                for (ConsumerRecord<String, byte[]> record : records) {
                    GenericRecord order = decoder.decode(record.value());
                    events++;
                    ids.add(order.get("event_id").toString());
                    paid += order.get("status").toString().equals("PAID") ? (Long) order.get("paid_amount") : 0;
                }
            }
        }
        System.out.printf("{\"events\": %d, \"ids\": %d, \"paid\": %d}%n", events, ids.size(), paid);
    }

    private Orders() {}
}
