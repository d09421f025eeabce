// Writes a module with the type of each schema: node generate.mjs DIRECTORY SCHEMA…
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import avroTs from "@ovotech/avro-ts";

const [directory, ...files] = process.argv.slice(2);
mkdirSync(directory, { recursive: true });
for (const file of files) {
  const schema = JSON.parse(readFileSync(file, "utf8"));
  writeFileSync(`${directory}/${schema.name}.ts`, avroTs.toTypeScript(schema));
}
