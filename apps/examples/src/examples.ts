// Every example, in the order of the list that `npm run example` prints. One line here is all it takes to add one.

export { characters } from "./characters.ts"
export { metaLearning } from "./meta-learning.ts"
export { physics } from "./physics.ts"
