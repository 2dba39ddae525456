// Which folder of lib may import which, and who may load TensorFlow (design: imports go one way).
import { posix } from 'node:path'
import ts from 'typescript'

/** Folders of lib that each folder may import, besides itself. A new folder needs a line here. */
export const allowed: Record<string, string[]> = {
  random: [],
  device: [],
  engine: ['device'],
  rhythm: [],
  tasks: ['random'],
  credit: ['random', 'rhythm'],
  analysis: ['random', 'rhythm', 'credit', 'tasks'],
  plots: ['device', 'rhythm', 'credit', 'tasks', 'analysis'],
  model: ['random', 'engine'],
  attention: ['engine', 'model', 'rhythm'],
  traces: ['random', 'engine', 'model', 'attention', 'rhythm', 'credit', 'tasks'],
  training: ['random', 'device', 'engine', 'model', 'attention', 'rhythm', 'credit', 'tasks', 'traces'],
  gpuCheck: ['random', 'device', 'engine', 'model', 'attention', 'rhythm', 'credit', 'tasks', 'traces', 'training'],
  sweeps: ['random', 'engine', 'model', 'attention', 'rhythm', 'credit', 'tasks', 'traces', 'training', 'analysis'],
}

/** Folders that may import all of the above and each other; besides each other, only lib's own files import them. */
export const topFolders = ['notebook', 'commands']

/** Plain functions of plain data: nothing that they load, however indirectly, loads TensorFlow. */
export const plainFolders = ['random', 'device', 'rhythm', 'credit', 'tasks', 'analysis', 'plots']

/** Anything that cooperates with long work may yield and stop: these files load no TensorFlow and are open to all. */
export const openFiles = ['engine/cooperate.ts']

interface Import {
  from: string
  typeOnly: boolean
}

/** Every import of one source: declarations, re-exports, `import()`, `require()` and `import('…').Type`. */
export function importsOf(name: string, text: string): Import[] {
  const found: Import[] = []
  const add = (node: ts.Node | undefined, typeOnly: boolean) => {
    if (node && ts.isStringLiteralLike(node)) found.push({ from: node.text, typeOnly })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      const clause = node.importClause
      const named = clause?.namedBindings
      const eachIsType =
        clause !== undefined &&
        !clause.name &&
        named !== undefined &&
        ts.isNamedImports(named) &&
        named.elements.length > 0 &&
        named.elements.every((element) => element.isTypeOnly)
      add(node.moduleSpecifier, clause?.isTypeOnly === true || eachIsType)
    } else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly)
    else if (ts.isExternalModuleReference(node)) add(node.expression, false)
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, true)
    else if (ts.isCallExpression(node)) {
      const { expression } = node
      const isRequire = ts.isIdentifier(expression) && expression.text === 'require'
      if (isRequire || expression.kind === ts.SyntaxKind.ImportKeyword) add(node.arguments[0], false)
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true))
  return found
}

const loadsTensorFlow = (packageName: string) => /^(@tensorflow\/|danfojs)/.test(packageName)
const packageOf = (specifier: string) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
const folderOf = (file: string) => (file.includes('/') ? file.split('/')[0] : '')

/** What is wrong among `files` (path within lib → text), where `dependencies` are the packages that lib declares. */
export function violations(files: Record<string, string>, dependencies: string[]): string[] {
  const problems: string[] = []
  const edges = new Map<string, { files: string[]; tensorFlow: boolean }>()
  for (const [file, text] of Object.entries(files)) {
    const folder = folderOf(file)
    const edge = { files: [] as string[], tensorFlow: false }
    edges.set(file, edge)
    if (folder && !allowed[folder] && !topFolders.includes(folder))
      problems.push(`${file}: the folder ${folder} has no line in tests/importDirections.ts`)
    for (const { from, typeOnly } of importsOf(file, text)) {
      if (from.startsWith('node:')) continue
      if (!from.startsWith('.')) {
        const name = packageOf(from)
        if (!dependencies.includes(name))
          problems.push(`${file}: ${name} is not among the dependencies of lib/package.json`)
        if (!typeOnly && loadsTensorFlow(name)) edge.tensorFlow = true
        continue
      }
      const path = posix.join(posix.dirname(file), from)
      if (path.endsWith('.json')) continue
      const target = [`${path}.ts`, posix.join(path, 'index.ts'), path].find((candidate) => candidate in files)
      if (!target) {
        problems.push(`${file}: ${from} is no file of lib`)
        continue
      }
      if (!typeOnly) edge.files.push(target)
      const other = folderOf(target)
      if (other === folder || openFiles.includes(target)) continue
      if (target === 'cli.ts') problems.push(`${file}: nothing imports cli.ts`)
      else if (target === 'index.ts' && typeOnly && topFolders.includes(folder)) continue
      else if (other === '') problems.push(`${file}: ${target} is for those who use the library, not for the library`)
      else if (topFolders.includes(other) && folder !== '' && !topFolders.includes(folder))
        problems.push(`${file}: only the command line and notebooks import ${other}`)
      else if (allowed[folder] && !allowed[folder].includes(other))
        problems.push(`${file}: ${folder} may not import ${other} (${from})`)
    }
  }
  for (const file of edges.keys()) {
    if (plainFolders.includes(folderOf(file)) && reachesTensorFlow(file, edges))
      problems.push(`${file}: loads TensorFlow, directly or through what it imports`)
  }
  return problems
}

function reachesTensorFlow(start: string, edges: Map<string, { files: string[]; tensorFlow: boolean }>): boolean {
  const seen = new Set([start])
  for (const file of seen) {
    const edge = edges.get(file)
    if (edge?.tensorFlow) return true
    for (const next of edge?.files ?? []) seen.add(next)
  }
  return false
}
