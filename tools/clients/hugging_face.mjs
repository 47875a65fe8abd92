// Hugging Face's JavaScript client: node hugging_face.mjs GATEWAY TEXT
import { readFileSync } from "node:fs";
import { InferenceClient } from "@huggingface/inference";

const [gateway, text] = process.argv.slice(2);
const endpoint = new InferenceClient().endpoint(`${gateway}/v1/en/token-classification`);
const groups = await endpoint.tokenClassification({ inputs: text });
const entities = groups.map((group) => [group.start, group.end, group.entity_group]);
const { version } = JSON.parse(readFileSync("node_modules/@huggingface/inference/package.json", "utf8"));
console.log(JSON.stringify({ version, entities }));
