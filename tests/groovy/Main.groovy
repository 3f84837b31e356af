// Runs the scenarios: Main.groovy ROOT trusted|sandboxed [WORDS | FILE.groovy]
import harness.World
import harness.Suite

File root = new File(args[0])
boolean sandboxed = args[1] == 'sandboxed'
String words = args.length > 2 ? args[2] : ''
List<String> files = new File(root, 'tests/groovy/scenarios').list().findAll { it.endsWith('.groovy') }.sort()
if (files.contains(words)) {
    files = [words]
    words = ''
}
Suite suite = new Suite(root, sandboxed, words)
files.each { suite.load(it - '.groovy') }
System.exit(suite.run() ? 0 : 1)
