// The service for programs, drawn from its own openapi.json: no file of another host is needed.

import { element } from "./pad.js";

const main = document.getElementById("main");
document.getElementById("example").textContent = `curl --data-binary @photo.jpg ${location.origin}/predict`;

const told = await (await fetch("openapi.json")).json();
const groups = new Map();
for (const [path, operations] of Object.entries(told.paths)) {
  for (const [method, operation] of Object.entries(operations)) {
    const tag = operation.tags?.[0] ?? "Other";
    groups.set(tag, [...(groups.get(tag) ?? []), row(path, method, operation)]);
  }
}
for (const [tag, rows] of groups) main.append(element("h2", {}, tag), ...rows);

function row(path, method, operation) {
  const summary = element("summary", {}, element("b", { class: "method" }, method.toUpperCase()), element("code", {}, path));
  const first = (operation.description ?? "").split("\n")[0];
  summary.append(element("span", {}, first));
  const body = element("div", { class: "operation" });
  list(body, "Parameters", (operation.parameters ?? []).map((each) => [each.name, words(each)]));
  const kinds = Object.keys(operation.requestBody?.content ?? {});
  if (kinds.length) list(body, "Body", [["one of", kinds.join(", ")]]);
  list(body, "Answers", Object.entries(operation.responses).map(([status, each]) => [status, each.description]));
  for (const [status, each] of Object.entries(operation.responses)) {
    const schema = status.startsWith("2") && Object.values(each.content ?? {})[0]?.schema;
    if (schema?.$ref) body.append(element("pre", { tabindex: "0" }, element("code", {}, JSON.stringify(example(schema), null, 1))));
  }
  return element("details", {}, summary, body);
}

function words({ required, description, schema }) {
  const limits = [schema.type, schema.pattern, schema.default !== undefined && `default ${JSON.stringify(schema.default)}`];
  return [description, ...limits.filter(Boolean), required && "required"].filter(Boolean).join(", ");
}

function list(body, title, rows) {
  if (!rows.length) return;
  const made = element("dl");
  for (const [term, text] of rows) made.append(element("dt", {}, term), element("dd", {}, text));
  body.append(element("b", {}, title), made);
}

// What an answer of this schema looks like.
function example(schema) {
  if (schema.$ref) return example(told.components.schemas[schema.$ref.split("/").at(-1)]);
  if (schema.anyOf) return example(schema.anyOf[0]);
  if (schema.type === "object") {
    return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, inner]) => [name, example(inner)]));
  }
  if (schema.type === "array") return [example(schema.items ?? {})];
  return schema.type ?? "any";
}
