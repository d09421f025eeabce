// Reads promoter.orders with kafkajs and avsc until nothing has come for five seconds.
import { readFileSync } from "node:fs";
import avro from "avsc";
import kafkajs from "kafkajs";
import lz4 from "lz4js";

const [bootstrap, topic, schemaFile] = process.argv.slice(2);
// The connector compresses by lz4 unless [kafka] "compression.type" says something else, and kafkajs has no lz4 of its own.
kafkajs.CompressionCodecs[kafkajs.CompressionTypes.LZ4] = () => ({
  compress: async ({ buffer }) => Buffer.from(lz4.compress(buffer)),
  decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
});

// C3 01 and the schema's fingerprint, as `promoter-connector schemas list` prints it under "single object": avsc knows no CRC-64-AVRO.
const HEADER = Buffer.from("c3013f632d74f263d5b2", "hex");
// Longs are numbers: an amount in fen is safe up to 2^53.
const order = avro.Type.forSchema(JSON.parse(readFileSync(schemaFile, "utf8")));

const kafka = new kafkajs.Kafka({ brokers: [bootstrap], logLevel: kafkajs.logLevel.ERROR });
// What was aborted is left out unless readUncommitted is set.
const consumer = kafka.consumer({ groupId: "orders-node", readUncommitted: false });
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });

const fail = (words) => {
  console.error(words);
  process.exit(1);
};
// What kafkajs does not try again would otherwise be taken for the end of the topic.
consumer.on(consumer.events.CRASH, ({ payload }) => payload.restart || fail(`${topic}: ${payload.error.message}`));

let [events, paid, last] = [0, 0, Infinity];
const ids = new Set();
await consumer.run({
  eachMessage: async ({ partition, message }) => {
    try {
      if (!message.value.subarray(0, HEADER.length).equals(HEADER)) {
        throw new Error(`written by another schema: ${message.value.toString("hex", 0, 10)}`);
      }
      const event = order.fromBuffer(message.value.subarray(HEADER.length));
      [events, last] = [events + 1, Date.now()];
      ids.add(event.event_id);
      if (event.status === "PAID") paid += event.paid_amount;
    } catch (error) {
      // Thrown on, it would only bring the same message again and again, for longer than the silence that ends the program.
      fail(`${topic}, partition ${partition}, offset ${message.offset}: ${error.message}`);
    }
  },
});

const timer = setInterval(async () => {
  if (Date.now() - last < 5000 || events === 0) return;
  clearInterval(timer);
  await consumer.disconnect();
  console.log(JSON.stringify({ events, ids: ids.size, paid }));
}, 200);
