// The examples as a program: `npm run example -- <name>`, or `node dist/index.js --help`.

import { main } from "./cli.ts"
import * as examples from "./examples.ts"

process.exitCode = await main(Object.values(examples), process.argv.slice(2), process.stdout, process.stderr)
