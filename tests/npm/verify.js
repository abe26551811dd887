// Reads {secret, headers, body}; answers with what standardwebhooks says of the signature, and with a signature of its own.
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

const { secret, headers, body } = JSON.parse(readFileSync(0, "utf8"));
const webhook = new Webhook(secret);
let verified = true;
try {
  webhook.verify(body, headers);
} catch {
  verified = false;
}
const now = new Date();
const signed = {
  "webhook-id": "msg_theirs",
  "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
  "webhook-signature": webhook.sign("msg_theirs", now, body),
};
process.stdout.write(JSON.stringify({ verified, signed }));
