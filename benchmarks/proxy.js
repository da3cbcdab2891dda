// A minimal streaming proxy in Node, without any of what a gateway checks: the yardstick.
//   node proxy.js PORT UPSTREAM_PORT TOKEN
const http = require("node:http");

const [port, upstream, token] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 256 });

const server = http.createServer((incoming, outgoing) => {
  const headers = { ...incoming.headers, authorization: `Bearer ${token}` };
  const call = http.request(
    { host: "127.0.0.1", port: upstream, path: incoming.url, method: incoming.method, headers, agent },
    (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    },
  );
  call.on("error", () => outgoing.destroy());
  outgoing.on("close", () => call.destroy());
  incoming.pipe(call);
});
server.listen(Number(port), "127.0.0.1");
