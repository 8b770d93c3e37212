// Node's own HTTP stack: `stack.mjs serve PORT` answers, `stack.mjs ask PORT` asks and prints `ok`.

import assert from "node:assert/strict";
import http from "node:http";

const BIG = 4 << 20;
const [what, port] = [process.argv[2], Number(process.argv[3])];

function serve() {
    const server = http.createServer((request, response) => {
        if (request.method === "POST") {
            response.setHeader("x-host", request.headers.host);
            request.pipe(response);
            return;
        }
        response.end(request.url === "/big" ? Buffer.alloc(BIG, "b") : "small");
    });
    server.listen(port, "127.0.0.1");
}

async function ask() {
    const url = (path) => `http://127.0.0.1:${port}${path}`;
    const get = async (path, options) => {
        const answer = await fetch(url(path), options);
        assert.equal(answer.status, 200);
        return Buffer.from(await answer.arrayBuffer());
    };
    const post = (body) => get("/echo", { method: "POST", body, duplex: "half" });
    for (let n = 0; n < 100; n += 1) {
        assert.equal((await get("/small")).toString(), "small");
    }
    assert.deepEqual(await get("/big"), Buffer.alloc(BIG, "b"));
    const body = Buffer.alloc(1 << 20, Buffer.from([...Array(256).keys()]));
    assert.deepEqual(await post(body), body);
    const pieces = async function* () {
        for (let start = 0; start < body.length; start += 7000) {
            yield body.subarray(start, start + 7000);
        }
    };
    assert.deepEqual(await post(ReadableStream.from(pieces())), body);
    const together = Array.from({ length: 50 }, () => get("/small"));
    assert.equal(Buffer.concat(await Promise.all(together)).toString(), "small".repeat(50));
    console.log("ok");
    process.exit(0);
}

if (what === "serve") {
    serve();
} else {
    await ask();
}
