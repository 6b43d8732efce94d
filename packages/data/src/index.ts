// Data sets, readers of files, and loaders. Depends on no other package; everything but disk access runs in browsers.
export { batches, type Batches, type BatchOptions, splitRows, type SplitOptions } from "./batches.ts"
export { type CsvOptions, type CsvTable, type NumberOptions, parseCsv, tableNumbers } from "./csv.ts"
export { digits, type DigitRows, type DigitsData, type DigitsOptions, parseDigits } from "./digits.ts"
export { DataError, type DataErrorCode } from "./errors.ts"
export { decompress } from "./gzip.ts"
export { housing, type HousingData, type HousingOptions, type HousingRows, parseHousing } from "./housing.ts"
export { parseIdx } from "./idx.ts"
export { mobyDick, type MobyDickOptions } from "./moby-dick.ts"
export { parseNpy } from "./npy.ts"
export { sfc32, shuffled } from "./random.ts"
export { readBytes, readCsv, readIdx, readNpy, type Source } from "./read.ts"
export { mapBatches, prefetch } from "./stream.ts"
export {
  type ArrayOf,
  type Dataset,
  type DType,
  reshaped,
  rowCount,
  takeRows,
  type Tensor,
  toFloat32,
} from "./tensor.ts"
