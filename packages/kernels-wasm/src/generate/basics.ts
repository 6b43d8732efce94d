// What every program needs: values to start from, and elements moved. Elementwise operators need no entry at all.

import type { Registry } from "@counterflow/ops"
import { creation } from "./movement/creation.ts"
import { movement } from "./movement/movement.ts"
import type { Generators } from "./signature.ts"

export const basics = { ...creation, ...movement } satisfies Generators<Registry>
