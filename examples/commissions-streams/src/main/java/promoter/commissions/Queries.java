package promoter.commissions;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.errors.InvalidStateStoreException;
import org.apache.kafka.streams.state.HostInfo;
import org.apache.kafka.streams.state.QueryableStoreTypes;

/**
 * {@code GET /commissions/APP/PROMOTER}: what the promoter has earned, day by day, from the store itself.
 *
 * <p>Each instance has the promoters of its partitions only, and sends who asks for another one to whoever has it
 * ({@code application.server}). While a partition moves nobody can tell: 503, ask again. It shows what was read, which may be
 * a transaction ahead of what is committed; what has to be certain is read from the topic.
 */
final class Queries {
    private static final String PATH = "/commissions/";

    private final KafkaStreams streams;
    private final HostInfo here;

    private Queries(KafkaStreams streams, HostInfo here) {
        this.streams = streams;
        this.here = here;
    }

    static void serve(KafkaStreams streams, Properties settings) throws IOException {
        HostInfo here = HostInfo.buildFromEndpoint(CommissionsApp.required(settings, "application.server"));
        HttpServer server = HttpServer.create(new InetSocketAddress(here.host(), here.port()), 0);
        server.createContext(PATH, new Queries(streams, here)::answer);
        server.start();
    }

    private void answer(HttpExchange exchange) throws IOException {
        try {
            String promoter = exchange.getRequestURI().getPath().substring(PATH.length());
            // The store is partitioned as the topic of orders is: by the promoter, not by the whole of its keys.
            var owner = streams.queryMetadataForKey(CommissionTopology.DAYS, promoter, Serdes.String().serializer());
            if (owner.activeHost().equals(here)) {
                send(exchange, new ObjectMapper().writeValueAsBytes(days(promoter)));
            } else if (owner.activeHost().equals(HostInfo.unavailable())) {
                exchange.sendResponseHeaders(503, -1);
            } else {
                redirect(exchange, owner.activeHost());
            }
        } catch (InvalidStateStoreException | IllegalStateException moving) {
            exchange.sendResponseHeaders(503, -1);
        } finally {
            exchange.close();
        }
    }

    private static void send(HttpExchange exchange, byte[] json) throws IOException {
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(200, json.length);
        exchange.getResponseBody().write(json);
    }

    private static void redirect(HttpExchange exchange, HostInfo other) throws IOException {
        String location = "http://" + other.host() + ':' + other.port() + exchange.getRequestURI().getRawPath();
        exchange.getResponseHeaders().set("Location", location);
        exchange.sendResponseHeaders(307, -1);
    }

    /** Day to fen. */
    private Map<String, Long> days(String promoter) {
        var store = streams.store(StoreQueryParameters.fromNameAndType(
            CommissionTopology.DAYS, QueryableStoreTypes.<String, Long>keyValueStore()));
        var days = new TreeMap<String, Long>();
        String prefix = promoter + '/';
        try (var entries = store.prefixScan(prefix, Serdes.String().serializer())) {
            entries.forEachRemaining(entry -> days.put(entry.key.substring(prefix.length()), entry.value));
        }
        return days;
    }
}
