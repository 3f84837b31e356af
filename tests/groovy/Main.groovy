// Runs the scenarios: Main.groovy ROOT trusted|sandboxed [WORDS]
import harness.World
import harness.Suite

File root = new File(args[0])
boolean sandboxed = args[1] == 'sandboxed'
Suite suite = new Suite(root, sandboxed, args.length > 2 ? args[2] : '')
List<String> files = new File(root, 'tests/groovy/scenarios').list().findAll { it.endsWith('.groovy') }.sort()
files.each { suite.load(it - '.groovy') }
System.exit(suite.run() ? 0 : 1)
