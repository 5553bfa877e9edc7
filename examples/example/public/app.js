// Enhances the page beyond plain HTML. Everything except the upload also works without it.
"use strict";

const $ = (id) => document.getElementById(id);

// The timer: fetches /clock once a second, and records which workers answered.
if ($("ticks")) {
	const answered = new Map([[$("workers").textContent, 1]]);
	const refresh = async () => {
		try {
			const clock = await (await fetch("/clock")).json();
			$("ticks").value = clock.ticks;
			$("ticks-unit").textContent = clock.ticks === 1 ? "tick" : "ticks";
			$("ticker").textContent = clock.ticker || "…";
			answered.set(String(clock.pid), (answered.get(String(clock.pid)) || 0) + 1);
			$("workers").replaceChildren(...[...answered].slice(-8).map(([pid, count]) => {
				const chip = document.createElement("b");
				chip.textContent = `${pid} × ${count}`;
				return chip;
			}));
		} catch {
			$("ticks-unit").textContent = "ticks (the server does not answer)";
		}
		setTimeout(refresh, document.hidden ? 5000 : 1000);
	};
	refresh();
}

// The stream: lights one lamp for each line when it arrives.
if ($("lamps")) {
	const lamps = [];
	for (let i = 0; i < 20; i++) {
		const lamp = document.createElementNS("http://www.w3.org/2000/svg", "circle");
		lamp.setAttribute("cx", 10 + i * 400 / 19);
		lamp.setAttribute("cy", 62);
		lamp.setAttribute("r", 5);
		lamps.push(lamp);
	}
	$("lamps").append(...lamps);

	const start = $("stream-start");
	start.addEventListener("click", async (event) => {
		event.preventDefault();
		if (start.ariaDisabled === "true") return;
		start.ariaDisabled = "true";
		lamps.forEach((lamp) => lamp.classList.remove("lit"));
		try {
			const reader = (await fetch("/stream")).body.pipeThrough(new TextDecoderStream()).getReader();
			for (let rest = ""; ;) {
				const { done, value } = await reader.read();
				if (done) break;
				const lines = (rest + value).split("\n");
				rest = lines.pop();
				for (const line of lines) lamps[Number(line) - 1]?.classList.add("lit");
			}
		} finally {
			start.ariaDisabled = "false";
		}
	});
}

// The almanac: fetches it, and shows what came over the network.
if ($("almanac-fetch")) {
	const url = new URL("/almanac", location).href;
	new PerformanceObserver((list) => {
		for (const { transferSize, encodedBodySize, decodedBodySize } of list.getEntriesByName(url)) {
			const [sent, size] = [encodedBodySize, decodedBodySize].map((bytes) => bytes.toLocaleString("en"));
			$("almanac-result").value = transferSize < encodedBodySize
				? `304: the browser has all ${size} bytes.`
				: `200: ${sent} bytes were sent for ${size}.`;
		}
	}).observe({ type: "resource" });
	$("almanac-fetch").hidden = false;
	$("almanac-fetch").addEventListener("click", () => fetch(url, { cache: "no-cache" }).then((answer) => answer.text()));
}

// The upload: uses XMLHttpRequest, because fetch does not report upload progress.
if ($("upload-form")) {
	const form = $("upload-form");
	const [button, bar, result] = [form.querySelector("button"), form.querySelector("progress"), $("upload-result")];
	form.hidden = false;

	const show = (rows) => {
		result.replaceChildren(...Object.entries(rows).flatMap(([name, value]) => {
			const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
			dt.textContent = name;
			dd.textContent = value;
			return [dt, dd];
		}));
		result.hidden = false;
	};

	form.addEventListener("submit", (event) => {
		event.preventDefault();
		const file = form.file.files[0];
		const request = new XMLHttpRequest();
		const started = performance.now();
		request.upload.onprogress = (progress) => { bar.value = progress.loaded / Math.max(progress.total, 1); };
		request.onload = async () => {
			if (request.status !== 200) {
				show({ "Refused": `${request.status} ${request.statusText}` });
				return;
			}
			const seconds = (performance.now() - started) / 1000;
			const answer = JSON.parse(request.responseText);
			const rows = {
				"Bytes": answer.bytes.toLocaleString("en"),
				"Pieces": `${answer.pieces.toLocaleString("en")}, in ${seconds.toFixed(2)} s`,
				"CRC-32": answer.crc32,
				"Worker": answer.pid,
			};
			show(rows);
			rows["CRC-32"] += await crc32(file) === answer.crc32 ? ", and so says the browser" : ", but the browser disagrees";
			show(rows);
		};
		request.onerror = () => show({ "Failed": "the connection broke off" });
		request.onloadend = () => { button.disabled = false; bar.hidden = true; };
		request.open("POST", "/upload");
		request.setRequestHeader("Content-Type", "application/octet-stream");
		button.disabled = true;
		bar.value = 0;
		bar.hidden = false;
		result.hidden = true;
		request.send(file);
	});
}

// A stream of events. The browser connects again by itself, with the id of the last event, and so gets each one once. If it is told that
// some are lost, or if the server has refused it, it starts again with an empty page.
function follow(path, { opened, message, restart }) {
	const source = new EventSource(path);
	const again = () => {
		source.close();
		restart();
		setTimeout(() => follow(path, { opened, message, restart }), 1000);
	};
	source.onopen = () => opened(true);
	source.onerror = () => {
		opened(false);
		if (source.readyState === EventSource.CLOSED) again();
	};
	source.onmessage = (event) => message(event.data);
	source.addEventListener("lost", again);
}

// The chat.
if ($("chat")) {
	const list = $("messages");
	follow("/chat/events", {
		opened: (open) => {
			$("chat-state").value = open ? "connected" : "connecting again …";
			if (open) $("chat").dataset.opens++;
		},
		message: (data) => {
			const [who, line] = [document.createElement("b"), document.createElement("span")];
			const end = data.indexOf("\n");
			who.textContent = data.slice(0, end);
			line.textContent = data.slice(end + 1);
			const item = document.createElement("li");
			item.append(who, " ", line);
			list.append(item);
			list.scrollTop = list.scrollHeight;
		},
		restart: () => list.replaceChildren(),
	});

	const form = $("say");
	form.addEventListener("submit", async (event) => {
		event.preventDefault();
		const text = form.text.value;
		form.text.value = "";
		try {
			const answer = await fetch("/chat", { method: "POST", body: new URLSearchParams({ text }) });
			if (!answer.ok) throw new Error(await answer.text());
		} catch (error) {
			form.text.value ||= text;
			$("chat-state").value = `not sent: ${error.message}`;
		}
	});
}

// The chart: the points of the last minute, as two lines.
if ($("chart")) {
	let points = [];
	const line = (values) => {
		const top = Math.max(4, ...values);
		return values.map((value, i) => `${600 - 10 * (values.length - 1 - i)},${115 - 110 * value / top}`).join(" ");
	};
	follow("/chart", {
		opened: () => {},
		message: (data) => {
			const [time, pages, windows] = data.split(" ").map(Number);
			points = [...points, { time, pages, windows }].slice(-60);
			$("chart-pages").setAttribute("points", line(points.map((p) => p.pages)));
			$("chart-windows").setAttribute("points", line(points.map((p) => p.windows)));
			$("chart-now").value = `${pages} pages in the last second, ${windows} windows`;
			$("chart").dataset.points = points.length;
		},
		restart: () => { points = []; },
	});
}

// The same checksum as in the script, for comparison.
async function crc32(file) {
	const table = Uint32Array.from({ length: 256 }, (_, n) => {
		for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
		return n;
	});
	let crc = -1;
	const reader = file.stream().getReader();
	for (let part; !(part = await reader.read()).done;) {
		for (const byte of part.value) crc = (crc >>> 8) ^ table[(crc ^ byte) & 255];
	}
	return (~crc >>> 0).toString(16).padStart(8, "0");
}
