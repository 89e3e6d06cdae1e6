// A client of HTTP/2 by Node's http2: `node client.js URL ADDRESS PORT [CA]`; see test_libraries.py.
const crypto = require("crypto");
const fs = require("fs");
const http2 = require("http2");
const net = require("net");
const tls = require("tls");

const [url, address, port, ca] = process.argv.slice(2);
const { hostname } = new URL(url);
const secure = () =>
  tls.connect({ host: address, port, servername: hostname, ca: fs.readFileSync(ca), ALPNProtocols: ["h2"] });
const session = http2.connect(url, { createConnection: ca ? secure : () => net.connect({ host: address, port }) });

function ask(number) {
  return new Promise((resolve) => {
    const stream = session.request({ ":method": "POST", ":path": "/", "x-number": String(number) });
    const hash = crypto.createHash("sha256");
    let status = 0, size = 0, trailer = "";
    stream.on("response", (fields) => (status = fields[":status"]));
    stream.on("trailers", (fields) => (trailer = fields["x-t"] || ""));
    stream.on("data", (data) => { hash.update(data); size += data.length; });
    stream.on("error", (error) => resolve(`${number} ${error}`));
    stream.on("end", () => resolve(
      [String(number).padStart(2, "0"), status, "HTTP/2.0", size, hash.digest("hex").slice(0, 8), trailer].join(" ")));
    stream.end(Buffer.alloc(1000 * number, number));
  });
}

Promise.all(Array.from({ length: 50 }, (_, number) => ask(number))).then((lines) => {
  console.log(lines.sort().join("\n"));
  session.close();
});
