// The generators of every family in one table: a primitive without one does not compile.

import type { Registry } from "@counterflow/ops"
import { convolution } from "./convolution.ts"
import { creation } from "./creation.ts"
import { matmulGenerators } from "./matmul.ts"
import { movement } from "./movement.ts"
import { maxPooling } from "./pooling-max.ts"
import { meanPooling } from "./pooling-mean.ts"
import { random } from "./random.ts"
import { reduction } from "./reduction.ts"
import { scan } from "./scan.ts"
import { selection } from "./selection.ts"
import type { GeneratorTable } from "./signature.ts"

export const generators = {
  ...convolution,
  ...creation,
  ...matmulGenerators,
  ...maxPooling,
  ...meanPooling,
  ...movement,
  ...random,
  ...reduction,
  ...scan,
  ...selection,
} satisfies GeneratorTable<Registry>
