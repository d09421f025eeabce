package promoter.commissions;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import promoter.Order;

/**
 * One source, one processor, one sink. The orders are partitioned by promoter, and all that is known of a promoter is kept
 * beside them: no repartitioning, so also no topic of it and no wait.
 */
final class CommissionTopology {
    /** What each order earns: app_id/promoter_id/mch_id/trade_no to fen. It grows by an entry an order. */
    static final String ORDERS = "orders";
    /** What each day earns: app_id/promoter_id/day to fen. */
    static final String DAYS = "days";

    static Topology build(Properties settings) {
        long basisPoints = Long.parseLong(CommissionsApp.required(settings, "commission.basis.points"));
        var orders = new EventDeserializer<>(Order.class, SchemaRegistry.of(settings));
        return new Topology()
            .addSource("source", Serdes.String().deserializer(), orders, CommissionsApp.required(settings, "orders.topic"))
            .addProcessor("commissions", () -> new CommissionProcessor(basisPoints), "source")
            .addStateStore(fen(ORDERS), "commissions")
            .addStateStore(fen(DAYS), "commissions")
            .addSink("sink", CommissionsApp.required(settings, "commissions.topic"), Serdes.String().serializer(),
                results(), "commissions");
    }

    private static StoreBuilder<KeyValueStore<String, Long>> fen(String name) {
        return Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(name), Serdes.String(), Serdes.Long());
    }

    /** Writes Avro single objects, which need no registry. */
    private static Serializer<Commission> results() {
        return (topic, commission) -> {
            try {
                ByteBuffer encoded = Commission.getEncoder().encode(commission);
                return Arrays.copyOfRange(encoded.array(), encoded.position(), encoded.limit());
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        };
    }

    private CommissionTopology() {}
}
