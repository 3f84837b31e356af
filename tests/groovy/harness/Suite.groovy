package harness

import org.codehaus.groovy.control.CompilerConfiguration

/** Collects scenarios, runs them one by one, prints each as a sentence. */
class Suite {
    final File root
    final boolean sandboxed
    final String words
    private final Map<String, Closure> scenarios = [:]

    Suite(File root, boolean sandboxed, String words) {
        this.root = root
        this.sandboxed = sandboxed
        this.words = words
    }

    void load(String name) {
        Binding binding = new Binding(scenario: { String sentence, Closure body ->
            if (scenarios.put(sentence, body) != null) { throw new IllegalStateException("two scenarios: ${sentence}") }
        })
        CompilerConfiguration configuration = new CompilerConfiguration(scriptBaseClass: Scenario.name, sourceEncoding: 'UTF-8')
        File file = new File(root, "tests/groovy/scenarios/${name}.groovy")
        new GroovyShell(getClass().classLoader, binding, configuration).evaluate(file)
    }

    boolean run() {
        File place = File.createTempDir('gitops-rollback-', '')
        Controller controller = new Controller(root, sandboxed, Library.resources(root))
        int passed = 0
        List<String> failed = []
        scenarios.findAll { it.key.contains(words) }.each { sentence, body ->
            World world = new World(controller, new File(place, "${passed + failed.size()}"))
            String problem = null
            try {
                world.prepare()
                body.call(world)
                problem = world.problems()
            } catch (Throwable thrown) {
                StringWriter trace = new StringWriter()
                org.codehaus.groovy.runtime.StackTraceUtils.sanitize(thrown).printStackTrace(new PrintWriter(trace))
                problem = trace.toString()
            } finally {
                world.close()
            }
            if (problem) {
                failed << sentence
                println "FAILED ${sentence}\n${problem.readLines().findAll { !(it =~ /at (java|groovy|org.codehaus|sun)\b.*/) }.take(14).join('\n')}"
                world.builds.each { build -> println build.log.collect { "  | ${it}" }.join('\n') }
            } else {
                passed++
                println "ok     ${sentence}"
            }
        }
        place.deleteDir()
        List<String> idle = sandboxed && !words ? controller.interceptor.unused() : []
        if (idle) {
            failed << "the sandbox's lists hold only what is used, but: ${idle.join(', ')}".toString()
        }
        failed.each { println "FAILED ${it}" }
        println "${sandboxed ? 'sandboxed' : 'trusted'}: ${passed} passed, ${failed.size()} failed"
        return passed > 0 && failed.isEmpty()
    }
}
