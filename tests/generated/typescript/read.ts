// Reads the records of each file as the generated type of its name, and writes what is in their fields as lines of JSON.
//
//     node built/read.js RECORDS OUT REGISTRY
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import avro from "avsc";
import { Promoter as DeadLetters } from "./generated/DeadLetter.js";
import { Promoter as LedgerDays } from "./generated/LedgerDay.js";
import { Promoter as MaterialRequests } from "./generated/MaterialRequest.js";
import { Promoter as MaterialResults } from "./generated/MaterialResult.js";
import { Promoter as Orders } from "./generated/Order.js";
import { Promoter as Promoters } from "./generated/Promoter.js";
import { Promoter as Touches } from "./generated/Touch.js";

// What a decoded field can be.
type Value = null | boolean | number | string | Buffer | string[] | Record<string, string>;

type Schema = Parameters<typeof avro.Type.forSchema>[0];
const known = new Map<number, Schema>();

// The schema that wrote, by the id in front of its values.
async function registeredAs(id: number, registry: string): Promise<Schema> {
  let schema = known.get(id);
  if (schema === undefined) {
    const answer = await fetch(`${registry}/schemas/ids/${id}`);
    schema = JSON.parse(((await answer.json()) as { schema: string }).schema) as Schema;
    known.set(id, schema);
  }
  return schema;
}

class Kind<Type extends { [Name in keyof Type]: Value }> {
  readonly #type: avro.Type;
  readonly #resolvers = new Map<number, ReturnType<avro.Type["createResolver"]>>();

  constructor(schema: string) {
    this.#type = avro.Type.forSchema(JSON.parse(schema));
  }

  singleObject(value: Buffer, header: Buffer): Type {
    if (!value.subarray(0, header.length).equals(header)) {
      throw new Error(`written by another schema: ${value.toString("hex", 0, 10)}`);
    }
    return this.#type.fromBuffer(value.subarray(header.length));
  }

  // By the schema that the id in front of it stands for.
  async confluent(value: Buffer, registry: string): Promise<Type> {
    const id = value.readUInt32BE(1);
    let resolver = this.#resolvers.get(id);
    if (!resolver) {
      resolver = this.#type.createResolver(avro.Type.forSchema(await registeredAs(id, registry)));
      this.#resolvers.set(id, resolver);
    }
    return this.#type.fromBuffer(value.subarray(5), resolver);
  }

  async line(value: Buffer, header: Buffer, registry: string): Promise<string> {
    try {
      const record = value[0] === 0 ? await this.confluent(value, registry) : this.singleObject(value, header);
      return JSON.stringify(Object.fromEntries(Object.entries<Value>(record).map(([name, field]) => [name, plain(field)])));
    } catch (error) {
      return JSON.stringify({ error: String(error) });
    }
  }
}

// As docs/consuming.md shows it.
const type = avro.Type.forSchema(JSON.parse(Orders.OrderSchema));

class ShownOrders extends Kind<Orders.Order> {
  override singleObject(value: Buffer, header: Buffer): Orders.Order {
    super.singleObject(value, header);
    const order: Orders.Order = type.fromBuffer(value.subarray(10));
    return order;
  }

  override async confluent(value: Buffer, registry: string): Promise<Orders.Order> {
    const registered = await registeredAs(value.readUInt32BE(1), registry);
    const order: Orders.Order = type.fromBuffer(value.subarray(5), type.createResolver(avro.Type.forSchema(registered)));
    return order;
  }
}

// Bytes in base64, everything else as it is.
const plain = (field: Value) => (Buffer.isBuffer(field) ? field.toString("base64") : field);

const KINDS = {
  Touch: new Kind<Touches.Touch>(Touches.TouchSchema),
  Order: new ShownOrders(Orders.OrderSchema),
  DeadLetter: new Kind<DeadLetters.DeadLetter>(DeadLetters.DeadLetterSchema),
  MaterialRequest: new Kind<MaterialRequests.MaterialRequest>(MaterialRequests.MaterialRequestSchema),
  MaterialResult: new Kind<MaterialResults.MaterialResult>(MaterialResults.MaterialResultSchema),
  Promoter: new Kind<Promoters.Promoter>(Promoters.PromoterSchema),
  LedgerDay: new Kind<LedgerDays.LedgerDay>(LedgerDays.LedgerDaySchema),
};

const [records, out, registry] = process.argv.slice(2);
// The fingerprints as `promoter-connector schemas list --json` prints them: avsc knows no CRC-64-AVRO.
const fingerprints: Record<string, string> = JSON.parse(readFileSync(`${records}/fingerprints.json`, "utf8"));
for (const framing of ["single", "confluent"]) {
  mkdirSync(`${out}/${framing}`, { recursive: true });
  for (const [name, kind] of Object.entries(KINDS)) {
    const header = Buffer.from(`c301${fingerprints[name]}`, "hex");
    const lines = [];
    let data = readFileSync(`${records}/${framing}/${name}.bin`);
    while (data.length > 0) {
      const end = 4 + data.readUInt32BE(0);
      lines.push(`${await kind.line(data.subarray(4, end), header, registry)}\n`);
      data = data.subarray(end);
    }
    writeFileSync(`${out}/${framing}/${name}.jsonl`, lines.join(""));
  }
}
