package promoter.commissions;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Properties;
import org.apache.avro.Schema;

/** The one call of a schema registry that a reader needs. Who asks keeps the answer: an id never changes its meaning. */
final class SchemaRegistry {
    private static final Duration ANSWER_MAX = Duration.ofSeconds(10);

    private final String url;
    private final HttpClient client = HttpClient.newBuilder().connectTimeout(ANSWER_MAX).build();

    private SchemaRegistry(String url) {
        this.url = url;
    }

    /** That of the settings; where they have none, only values that need none can be read. */
    static SchemaRegistry of(Properties settings) {
        return new SchemaRegistry(settings.getProperty("schema.registry.url", ""));
    }

    Schema schema(int id) {
        if (url.isBlank()) {
            throw new IllegalStateException("the value names schema " + id + " of a registry, and schema.registry.url is not set");
        }
        var request = HttpRequest.newBuilder(URI.create(url + "/schemas/ids/" + id)).timeout(ANSWER_MAX).build();
        try {
            HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() != 200) {
                throw new IOException(request.uri() + " answered " + answer.statusCode());
            }
            return new Schema.Parser().parse(new ObjectMapper().readTree(answer.body()).path("schema").textValue());
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("stopped while " + request.uri() + " was asked", error);
        }
    }
}
