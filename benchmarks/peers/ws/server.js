// Echoes WebSocket messages with the package ws: node server.js PORT [PROCESSES] [deflate]
//
// npm install ws@8.23.0 in this directory, or in one above it, comes first.
const cluster = require("node:cluster");
const { WebSocketServer } = require("ws");

const [port, processes, deflate] = process.argv.slice(2);
if (processes > 1 && cluster.isPrimary) {
	for (let i = 0; i < processes; i++) cluster.fork();
} else {
	const server = new WebSocketServer({ host: "127.0.0.1", port: Number(port), perMessageDeflate: deflate === "deflate" });
	server.on("connection", (socket) => {
		socket.on("error", () => {});
		socket.on("message", (data, binary) => socket.send(data, { binary }));
	});
}
