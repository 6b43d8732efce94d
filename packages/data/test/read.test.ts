// Files by path, file address and http address, gzip undone wherever it is met.
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { gzipSync } from "node:zlib"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { decompress, readBytes, readCsv, readNpy } from "../src/index.ts"
import { latin, refusal } from "./refusal.ts"

let folder = ""
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "counterflow-data-"))
  await writeFile(join(folder, "é.csv"), "näme,b\n1,2\n")
  await writeFile(join(folder, "table.csv.gz"), gzipSync("a;b\n1;2\n"))
})
afterAll(() => rm(folder, { recursive: true }))

describe("files", () => {
  test("by path and by address", async () => {
    const path = join(folder, "é.csv")
    for (const source of [path, pathToFileURL(path), pathToFileURL(path).href]) {
      expect((await readCsv(source)).names).toEqual(["näme", "b"])
    }
    expect(await readCsv(join(folder, "table.csv.gz"), { separator: ";" })).toMatchObject({ rows: [["1", "2"]] })
  })

  test("that are not there", async () => {
    const path = join(folder, "none.npy")
    expect(await refusal(() => readNpy(path))).toBe(`CF_BAD_FILE the file cannot be read @ ${path}`)
  })
})

test("over http, with its refusals", async () => {
  const server = createServer((request, response) => {
    if (request.url === "/table.csv.gz") response.end(gzipSync("a\n5\n"))
    else response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  const host = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`
  try {
    expect((await readCsv(`${host}/table.csv.gz`)).rows).toEqual([["5"]])
    expect(await refusal(() => readBytes(new URL(`${host}/none`)))).toBe(
      `CF_BAD_FILE the server answered 404 @ ${host}/none`,
    )
  } finally {
    await new Promise((resolve) => server.close(resolve))
  }
  expect(await refusal(() => readBytes(`${host}/gone`))).toBe(`CF_BAD_FILE the file cannot be fetched @ ${host}/gone`)
})

describe("decompress", () => {
  test("leaves other bytes alone", async () => {
    const bytes = latin("plain")
    expect(await decompress(bytes)).toBe(bytes)
    expect(await decompress(new Uint8Array(0))).toEqual(new Uint8Array(0))
  })

  test("of large data in many chunks", async () => {
    const bytes = Uint8Array.from({ length: 1_000_003 }, (_, i) => (i * i) >> 5)
    expect(Buffer.compare(await decompress(gzipSync(bytes)), bytes)).toBe(0)
  })

  test("stops at a limit instead of filling the memory", async () => {
    const bomb = gzipSync(new Uint8Array(5_000_000))
    expect(await refusal(() => decompress(bomb, 1_000_000))).toBe(
      "CF_BAD_FILE the gzip data unpack to more than 1000000 bytes @ byte 1000000",
    )
    expect(await refusal(() => decompress(bomb, 4_999_999))).toContain("unpack to more than 4999999 bytes")
    expect((await decompress(bomb, 5_000_000)).length).toBe(5_000_000)
  })
})
