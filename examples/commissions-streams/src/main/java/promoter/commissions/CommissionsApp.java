package promoter.commissions;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.streams.KafkaStreams;

/**
 * Commission per promoter and Beijing day, from the connector's topic of orders.
 *
 * <pre>
 * promoter.orders ──> CommissionProcessor ──> promoter.commissions   (compacted: the latest record of a key counts)
 *                       orders, days  <────── GET /commissions/APP/PROMOTER
 * </pre>
 */
public final class CommissionsApp {
    private static final String USAGE = """
        usage: java -jar commissions.jar FILE.properties

        Writes what each promoter has earned on each Beijing day to commissions.topic, and tells it at
        http://application.server/commissions/APP/PROMOTER. FILE has any property of Kafka Streams, and ours:
        orders.topic, commissions.topic, commission.basis.points and, where the connector has one, schema.registry.url.
        Ends with 1 when it fails, 2 for usage, 143 on SIGTERM; started again it goes on where it was.
        """;
    /** From a signal to the last commit. */
    private static final Duration STOP_MAX = Duration.ofSeconds(30);

    public static void main(String[] arguments) throws Exception {
        if (arguments.length == 1 && (arguments[0].equals("--help") || arguments[0].equals("-h"))) {
            System.out.print(USAGE);
            return;
        }
        if (arguments.length != 1) {
            System.err.print(USAGE);
            System.exit(2);
        }
        Properties settings = load(Path.of(arguments[0]));
        Topics.createResults(settings);

        KafkaStreams streams = new KafkaStreams(CommissionTopology.build(settings), settings);
        CountDownLatch failed = new CountDownLatch(1);
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.ERROR) {
                failed.countDown();
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(STOP_MAX)));
        Queries.serve(streams, settings);
        streams.start();

        // Only a failure gets beyond this; a signal ends the process through the hook. What was not committed never
        // happened, so whoever starts the process again recovers from either.
        failed.await();
        System.exit(1);
    }

    static Properties load(Path file) throws IOException {
        Properties settings = new Properties();
        try (var reader = Files.newBufferedReader(file)) {
            settings.load(reader);
        }
        return settings;
    }

    /** The setting, or an error that names it. */
    static String required(Properties settings, String key) {
        String value = settings.getProperty(key);
        if (value == null || value.isBlank()) {
            throw new IllegalArgumentException(key + " is not set");
        }
        return value;
    }

    private CommissionsApp() {}
}
