// Reads a list of AsyncAPI documents; answers with what the parser found wrong with each, as [severity, code, message].
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const parser = new Parser();
const found = [];
for (const document of JSON.parse(readFileSync(0, "utf8"))) {
  const { diagnostics } = await parser.parse(JSON.stringify(document));
  found.push(diagnostics.map(({ severity, code, message }) => [severity, code, message]));
}
process.stdout.write(JSON.stringify(found));
