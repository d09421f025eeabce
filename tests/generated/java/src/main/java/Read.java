import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.PrintWriter;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.avro.specific.SpecificRecordBase;
import promoter.DeadLetter;
import promoter.LedgerDay;
import promoter.MaterialRequest;
import promoter.MaterialResult;
import promoter.Order;
import promoter.Promoter;
import promoter.Touch;

/** Reads the records of each file by the generated class of its name, and writes what is in their fields as lines of JSON. */
public final class Read {
  static final ObjectMapper JSON = new ObjectMapper();
  static final HttpClient HTTP = HttpClient.newHttpClient();

  /** A class knows its schema, and so the fingerprint of the single objects that it reads. */
  record Kind(BinaryMessageDecoder<? extends SpecificRecordBase> singleObjects, Schema schema) {}

  static final Map<String, Kind> KINDS = Map.of(
      "Touch", new Kind(Touch.getDecoder(), Touch.getClassSchema()),
      "Order", new Kind(Order.getDecoder(), Order.getClassSchema()),
      "DeadLetter", new Kind(DeadLetter.getDecoder(), DeadLetter.getClassSchema()),
      "MaterialRequest", new Kind(MaterialRequest.getDecoder(), MaterialRequest.getClassSchema()),
      "MaterialResult", new Kind(MaterialResult.getDecoder(), MaterialResult.getClassSchema()),
      "Promoter", new Kind(Promoter.getDecoder(), Promoter.getClassSchema()),
      "LedgerDay", new Kind(LedgerDay.getDecoder(), LedgerDay.getClassSchema()));

  final String registry;
  final Map<Integer, Schema> writers = new HashMap<>();

  Read(String registry) {
    this.registry = registry;
  }

  public static void main(String[] arguments) throws Exception {
    Path records = Path.of(arguments[0]), out = Path.of(arguments[1]);
    Read read = new Read(arguments[2]);
    for (String framing : new String[] {"single", "confluent"}) {
      Files.createDirectories(out.resolve(framing));
      for (String name : KINDS.keySet()) {
        read.file(records.resolve(framing).resolve(name + ".bin"), out.resolve(framing).resolve(name + ".jsonl"), KINDS.get(name));
      }
    }
  }

  void file(Path from, Path to, Kind kind) throws IOException, InterruptedException {
    try (var values = new DataInputStream(Files.newInputStream(from)); var lines = new PrintWriter(Files.newBufferedWriter(to))) {
      while (true) {
        byte[] value;
        try {
          value = new byte[values.readInt()];
        } catch (EOFException end) {
          return;
        }
        values.readFully(value);
        lines.println(line(value, kind));
      }
    }
  }

  String line(byte[] value, Kind kind) throws IOException, InterruptedException {
    try {
      SpecificRecordBase record = kind.schema == Order.getClassSchema() ? order(value) : value[0] == 0 ? confluent(value, kind.schema) : kind.singleObjects.decode(value);
      ObjectNode fields = JSON.createObjectNode();
      for (Schema.Field field : record.getSchema().getFields()) {
        fields.set(field.name(), plain(record.get(field.pos())));
      }
      return JSON.writeValueAsString(fields);
    } catch (RuntimeException | IOException error) {
      return JSON.writeValueAsString(Map.of("error", error.toString()));
    }
  }

  /** As docs/consuming.md shows it. */
  Order order(byte[] value) throws IOException, InterruptedException {
    if (value[0] != 0) {
      Order order = Order.getDecoder().decode(value);
      return order;
    }
    Schema writer = writer(ByteBuffer.wrap(value, 1, 4).getInt());
    BinaryDecoder decoder = DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, null);
    Order order = new SpecificDatumReader<Order>(writer, Order.getClassSchema()).read(null, decoder);
    return order;
  }

  /** By the schema that the id in front of it stands for. */
  SpecificRecordBase confluent(byte[] value, Schema reader) throws IOException, InterruptedException {
    Schema writer = writer(ByteBuffer.wrap(value, 1, 4).getInt());
    return new SpecificDatumReader<SpecificRecordBase>(writer, reader)
        .read(null, DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, null));
  }

  Schema writer(int id) throws IOException, InterruptedException {
    if (!writers.containsKey(id)) {
      var request = HttpRequest.newBuilder(URI.create(registry + "/schemas/ids/" + id)).build();
      var answer = HTTP.send(request, HttpResponse.BodyHandlers.ofString());
      writers.put(id, new Schema.Parser().parse(JSON.readTree(answer.body()).get("schema").textValue()));
    }
    return writers.get(id);
  }

  /** Times as milliseconds, bytes in base64, everything else as it is. */
  static JsonNode plain(Object value) {
    if (value instanceof Instant time) {
      return JSON.getNodeFactory().numberNode(time.toEpochMilli());
    }
    if (value instanceof ByteBuffer bytes) {
      byte[] copy = new byte[bytes.remaining()];
      bytes.duplicate().get(copy);
      return JSON.getNodeFactory().binaryNode(copy);
    }
    return JSON.valueToTree(value);
  }
}
