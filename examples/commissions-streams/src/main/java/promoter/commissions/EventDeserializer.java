package promoter.commissions;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.avro.Schema;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.MessageDecoder;
import org.apache.avro.message.RawMessageDecoder;
import org.apache.avro.specific.SpecificData;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;

/**
 * Reads the connector's values, whichever of its two framings they have, into a class that is generated from its schema.
 *
 * <ul>
 *   <li>Avro single object, without a registry: C3 01, the fingerprint of the writer's schema, the record.
 *   <li>Confluent's: 00, four bytes of the schema's id in the registry, the record.
 * </ul>
 *
 * <p>What can't be read is an error and ends the application: a skipped event would be a commission that is wrong for ever.
 * All threads of an application share one of these.
 */
final class EventDeserializer<T extends SpecificRecord> implements Deserializer<T> {
    private static final byte CONFLUENT = 0;
    private static final int CONFLUENT_HEADER_BYTES = 5;

    private final SpecificData model;
    private final Schema schema;
    private final SchemaRegistry registry;
    private final BinaryMessageDecoder<T> singleObjects;
    private final Map<Integer, MessageDecoder<T>> decodersById = new ConcurrentHashMap<>();

    EventDeserializer(Class<T> type, SchemaRegistry registry) {
        // With the conversions that the generated class asks for: times are Instants.
        this.model = SpecificData.getForClass(type);
        this.schema = model.getSchema(type);
        this.registry = registry;
        // It knows one fingerprint, that of the schema we were generated from. Add those of later releases by addSchema.
        this.singleObjects = new BinaryMessageDecoder<>(model, schema);
    }

    @Override
    public T deserialize(String topic, byte[] value) {
        if (value == null) {
            return null;
        }
        try {
            return value.length > CONFLUENT_HEADER_BYTES && value[0] == CONFLUENT ? byId(value) : singleObjects.decode(value);
        } catch (IOException | RuntimeException error) {
            throw new SerializationException("a value of " + topic + " can't be read as " + schema.getFullName(), error);
        }
    }

    private T byId(byte[] value) throws IOException {
        ByteBuffer body = ByteBuffer.wrap(value);
        body.get();
        int id = body.getInt();
        return decodersById.computeIfAbsent(id, this::decoder).decode(body);
    }

    /** The writer's schema may be a later one: what ours does not know is left out, what it lacks gets its default. */
    private MessageDecoder<T> decoder(int id) {
        return new RawMessageDecoder<>(model, registry.schema(id), schema);
    }
}
