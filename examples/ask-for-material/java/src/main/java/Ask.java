import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Asks for a promoter's material, in Avro, and waits for the reply.
 *
 * <p>Prints the reply, but for its image, as JSON. Ends with 0 for SUCCEEDED, 1 for any other reply, 3 where none came in time.
 */
public final class Ask {
    private static final String REQUESTS = "promoter.material.requests";
    private static final String RESULTS = "promoter.material.results";
    private static final String CORRELATION = "correlation-id";
    /** The reply EXPIRED is written within seconds of the deadline; whoever gave up at the deadline itself would miss it. */
    private static final Duration REPLY_GRACE = Duration.ofSeconds(15);

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 6 && arguments.length != 7) {
            System.err.println("usage: java Ask BOOTSTRAP SCHEMAS APP PROMOTER PATH EXTRA_INFO [SECONDS]");
            System.exit(2);
        }
        Duration within = Duration.ofSeconds(arguments.length == 7 ? Long.parseLong(arguments[6]) : 30);
        var replies = new BinaryMessageDecoder<GenericRecord>(GenericData.get(), schema(arguments[1], "material-result"));
        String id = UUID.randomUUID().toString();
        ProducerRecord<String, byte[]> request = request(schema(arguments[1], "material-request"), id, within, arguments);
        // Reading without a group: within one somebody else would be given the reply.
        Map<String, Object> reading = Map.of(
            ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0], ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
        try (var consumer = new KafkaConsumer<>(reading, new StringDeserializer(), new ByteArrayDeserializer())) {
            standAtEnd(consumer);
            send(arguments[0], request);
            GenericRecord reply = await(consumer, replies, id, arguments[3], within);
            if (reply == null) {
                System.err.println("no reply in time; the request may have been carried out");
                System.exit(3);
            }
            // The image itself is no text.
            if (reply.get("qrcode") instanceof ByteBuffer image) {
                reply.put("qrcode", image.remaining() + " bytes");
            }
            System.out.println(reply);
            System.exit(reply.get("status").toString().equals("SUCCEEDED") ? 0 : 1);
        }
    }

    private static Schema schema(String directory, String name) throws IOException {
        return new Schema.Parser().parse(new File(directory, name + ".avsc"));
    }

    private static ProducerRecord<String, byte[]> request(Schema schema, String id, Duration within, String[] arguments)
            throws IOException {
        GenericRecord fields = new GenericRecordBuilder(schema)
            .set("request_id", id).set("app_id", arguments[2]).set("promoter_openid", arguments[3]).set("path", arguments[4])
            .set("extra_info", arguments[5]).set("deadline", Instant.now().plus(within).toEpochMilli()).build();
        ByteBuffer encoded = new BinaryMessageEncoder<GenericRecord>(GenericData.get(), schema).encode(fields);
        byte[] value = new byte[encoded.remaining()];
        encoded.get(value);
        var request = new ProducerRecord<>(REQUESTS, arguments[2] + '/' + arguments[3], value);
        request.headers().add(CORRELATION, id.getBytes(StandardCharsets.UTF_8));
        return request;
    }

    /** Before anything is sent, so that no reply comes before somebody listens. */
    private static void standAtEnd(KafkaConsumer<String, byte[]> consumer) {
        List<TopicPartition> partitions = consumer.partitionsFor(RESULTS).stream()
            .map(each -> new TopicPartition(RESULTS, each.partition())).toList();
        consumer.assign(partitions);
        // Sought to by offset: seekToEnd alone looks the end up with the first poll, which may come later than the first reply.
        consumer.endOffsets(partitions).forEach(consumer::seek);
    }

    private static void send(String bootstrap, ProducerRecord<String, byte[]> request) throws ExecutionException, InterruptedException {
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap);
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer())) {
            producer.send(request).get();
        }
    }

    /** The reply with this header, or null. One that names another request or promoter is forged: whoever may ask can have any header written. */
    private static GenericRecord await(KafkaConsumer<String, byte[]> consumer, BinaryMessageDecoder<GenericRecord> replies, String id,
            String promoter, Duration within) throws IOException {
        byte[] ours = id.getBytes(StandardCharsets.UTF_8);
        Instant end = Instant.now().plus(within.isNegative() ? Duration.ZERO : within).plus(REPLY_GRACE);
        while (Instant.now().isBefore(end)) {
            for (ConsumerRecord<String, byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                Header header = record.headers().lastHeader(CORRELATION);
                // Somebody else's may have no value.
                if (header == null || !Arrays.equals(ours, header.value())) {
                    continue;
                }
                GenericRecord reply = replies.decode(record.value());
                // Too long an id comes back cut, and REJECTED.
                boolean same = reply.get("promoter_openid").toString().equals(promoter) || reply.get("status").toString().equals("REJECTED");
                if (same && reply.get("request_id").toString().equals(id)) {
                    return reply;
                }
            }
        }
        return null;
    }

    private Ask() {}
}
