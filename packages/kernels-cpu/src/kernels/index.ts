// The kernels of every family in one table: a primitive without one does not compile.

import type { Registry } from "@counterflow/ops"
import type { CpuTable } from "../kernel.ts"
import { control } from "./control.ts"
import { convolution } from "./convolution.ts"
import { creation } from "./creation.ts"
import { literal } from "./literal.ts"
import { matmul } from "./matmul.ts"
import { movement } from "./movement.ts"
import { pooling } from "./pooling.ts"
import { random } from "./random.ts"
import { reduction } from "./reduction.ts"
import { row } from "./row.ts"
import { scan } from "./scan.ts"
import { selection } from "./selection.ts"

export const kernels = {
  ...control,
  ...convolution,
  ...creation,
  ...literal,
  ...matmul,
  ...movement,
  ...pooling,
  ...random,
  ...reduction,
  ...row,
  ...scan,
  ...selection,
} satisfies CpuTable<Registry>
