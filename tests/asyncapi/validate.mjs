// Reads an AsyncAPI document from standard input and says what AsyncAPI's own parser finds wrong with it, a line each. Fails where
// that is more than advice, or where the schema of a message is none of Avro's.
import { readFileSync } from "node:fs";
import { AvroSchemaParser } from "@asyncapi/avro-schema-parser";
import { Parser } from "@asyncapi/parser";
import avsc from "avsc";

const parser = new Parser();
parser.registerSchemaParser(AvroSchemaParser());
const text = readFileSync(0, "utf8");
const { document, diagnostics } = await parser.parse(text);
const [ERROR, WARNING] = [0, 1];
const wrong = diagnostics.filter(({ severity }) => severity === ERROR || severity === WARNING);
for (const { code, message, path } of wrong) {
  console.log(`${code}: ${path.join(".")}: ${message}`);
}
// The parser takes an Avro schema as it is, so these are read apart.
for (const [name, message] of Object.entries(JSON.parse(text).components.messages)) {
  try {
    avsc.Type.forSchema(message.payload.schema);
  } catch (error) {
    wrong.push(error);
    console.log(`no schema of Avro: ${name}: ${error.message}`);
  }
}
if (wrong.length === 0) {
  console.log(`${document.channels().length} channels, ${document.operations().length} operations`);
}
process.exit(wrong.length === 0 ? 0 : 1);
