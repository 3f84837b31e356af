package harness

import com.cloudbees.groovy.cps.Continuable
import com.cloudbees.groovy.cps.Continuation
import com.cloudbees.groovy.cps.CpsTransformer
import com.cloudbees.groovy.cps.Envs
import com.cloudbees.groovy.cps.Outcome
import com.cloudbees.groovy.cps.impl.CpsCallableInvocation
import com.cloudbees.groovy.cps.sandbox.DefaultInvoker
import org.codehaus.groovy.control.CompilerConfiguration
import org.codehaus.groovy.control.customizers.CompilationCustomizer
import org.codehaus.groovy.runtime.InvokerHelper

/** Runs pipelines on the engine that Jenkins uses; at every step the whole program is saved, dropped and restored. */
class Controller {
    static Controller current
    static final List<String> BLOCKS = ['withEnv', 'withCredentials', 'dir', 'node', 'stage', 'lock', 'timeout', 'timestamps',
                                        'script', 'retry', 'catchError']

    final File root
    final boolean sandboxed
    final File resources              // where a resource is looked for before the library's own
    final GroovyClassLoader trusted
    final GroovyClassLoader untrusted
    final Object interceptor
    Build build
    boolean libraryLoaded
    private Map<String, PipelineScript> scripts = [:]
    private int runs = 0              // no two scripts are classes of the same name

    Controller(File root, boolean sandboxed, File resources) {
        this.root = root
        this.sandboxed = sandboxed
        this.resources = resources
        trusted = loader(getClass().classLoader, new CpsTransformer())
        untrusted = loader(trusted, sandboxed ? sandboxTransformer() : new CpsTransformer())
        untrusted.addClasspath(new File(root, 'src').path)
        interceptor = sandboxed ? Class.forName('harness.Sandbox').newInstance() : null
        if (!sandboxed) { Mismatch.watch() }
    }

    /** Runs one pipeline to its end; what it did is in `build`. */
    Build run(Build build, String name, String text, boolean libraryLoaded = false) {
        current = this
        this.build = build
        this.libraryLoaded = libraryLoaded
        scripts = [:]
        build.run.number = build.run.number ?: 1
        build.params = build.started
        PipelineScript script = create(untrusted.parseClass(new GroovyCodeSource(text, "${name.replace('.', '_')}_${runs++}".toString(), '/pipeline')))
        if (sandboxed) { interceptor.register() }
        try {
            drive(script)
        } catch (Throwable failed) {
            build.failure = failed
            if (failed instanceof HarnessError && !build.harnessErrors.contains(failed.message)) { build.harnessErrors << failed.message }
            build.say("${failed instanceof AbortException ? 'ERROR: ' : failed.class.name + ': '}${failed.message}")
            build.run.result = failed instanceof FlowInterruptedException ? 'ABORTED' : 'FAILURE'
        } finally {
            if (sandboxed) {
                interceptor.unregister()
                build.harnessErrors.addAll(interceptor.refused)
                interceptor.refused.clear()
            }
        }
        build.run.result = build.run.result ?: 'SUCCESS'
        build.say("Finished: ${build.run.result}")
        if (build.frames) { build.harnessErrors << "blocks that never ended: ${build.frames}".toString() }
        return build
    }

    private void drive(PipelineScript script) {
        Continuable program = new Continuable(script, Envs.empty(invoker()))
        Outcome outcome = new Outcome(null, null)
        while (true) {
            Outcome next = program.run0(outcome, categories())
            if (!program.isResumable()) {
                next.replay()
                return
            }
            outcome = execute(next.replay() as Request)
            List restored = restore([program, scripts], 200_000)
            program = restored[0] as Continuable
            scripts = restored[1] as Map
            outcome = restore(outcome, Integer.MAX_VALUE) as Outcome
        }
    }

    /** Runs the branches of `parallel`: a step of each in turn, with the blocks that each is in. */
    Map branches(Map<String, Closure> bodies) {
        List outer = build.frames
        List<Map> all = bodies.findAll { it.value instanceof Closure }.collect { name, body ->
            [name: name, program: program(body), outcome: new Outcome(null, null), frames: new ArrayList(outer), result: null, failure: null]
        }
        while (all.any { it.program.isResumable() }) {
            all.findAll { it.program.isResumable() }.each { step(it) }
        }
        build.frames = outer
        Throwable failure = all*.failure.find { it != null }
        if (failure != null) { throw failure }
        return all.collectEntries { [(it.name): it.result] }
    }

    private Continuable program(Closure body) {
        try {
            if (sandboxed) { interceptor.register() }
            body.call()
        } catch (CpsCallableInvocation invocation) {
            return new Continuable(invocation.invoke(Envs.empty(invoker()), null, Continuation.HALT))
        } finally {
            if (sandboxed) { interceptor.unregister() }
        }
        throw new HarnessError('a branch that is no closure of a pipeline')
    }

    private void step(Map branch) {
        build.frames = branch.frames
        if (sandboxed) { interceptor.register() }
        try {
            Outcome next = branch.program.run0(branch.outcome, categories())
            if (branch.program.isResumable()) {
                branch.outcome = execute(next.replay() as Request)
            } else {
                branch.result = next.replay()
            }
        } catch (Throwable failed) {
            branch.failure = failed
        } finally {
            if (sandboxed) { interceptor.unregister() }
        }
    }

    private Outcome execute(Request request) {
        if (!request.name.startsWith('_')) { build.steps << request }
        if (sandboxed) { interceptor.unregister() }
        try {
            if (build.beforeStep) { build.beforeStep.call(request) }
            return new Outcome(new Steps(build)."${request.name}"(request), null)
        } catch (Throwable failed) {
            if (failed instanceof HarnessError) { build.harnessErrors << failed.message }
            return new Outcome(null, failed)
        } finally {
            if (sandboxed) { interceptor.register() }
        }
    }

    /** Called for each method that a script lacks: a step, a block step or a global variable that is called. */
    Object invoke(String name, Object[] arguments) {
        if (name in BLOCKS) {
            return InvokerHelper.invokeMethod(harnessScript('blocks'), name, arguments)
        }
        if (name == 'pipeline') {
            return InvokerHelper.invokeMethod(harnessScript('declarative'), name, arguments)
        }
        if (libraryLoaded && new File(root, "vars/${name}.groovy").isFile()) {
            return InvokerHelper.invokeMethod(variable(name), 'call', arguments)
        }
        if (!Steps.metaClass.respondsTo(Steps, name, Request)) {
            HarnessError unknown = new HarnessError("No such DSL method '${name}'")
            build.harnessErrors << unknown.message
            throw unknown
        }
        return suspend(new Request(name: name, arguments: arguments.toList()))
    }

    boolean hasGlobal(String name) {
        name in ['env', 'params', 'currentBuild', 'scm'] || libraryLoaded && new File(root, "vars/${name}.groovy").isFile()
    }

    Object global(String name) {
        switch (name) {
            case 'env': return new EnvVariables()
            case 'params': return new LinkedHashMap(build.params).asImmutable()
            case 'currentBuild': return new CurrentBuild()
            case 'scm': return build.scm
            default: return variable(name)
        }
    }

    File resource(String path) {
        File own = new File(resources, path)
        return own.isFile() ? own : new File(root, "resources/${path}")
    }

    private PipelineScript variable(String name) {
        if (!scripts[name]) {
            scripts[name] = create(untrusted.parseClass(new GroovyCodeSource(new File(root, "vars/${name}.groovy"))))
        }
        return scripts[name]
    }

    private PipelineScript harnessScript(String name) {
        if (!scripts['/' + name]) {
            scripts['/' + name] = create(trusted.parseClass(new GroovyCodeSource(new File(root, "tests/groovy/harness/${name}.groovy"))))
        }
        return scripts['/' + name]
    }

    private static PipelineScript create(Class type) {
        PipelineScript script = type.newInstance() as PipelineScript
        script.binding = new SerialisableBinding()
        return script
    }

    private static Object suspend(Request request) {
        Continuable.metaClass.respondsTo(Continuable, 'suspend', String, Object) ?
            Continuable.suspend(request.name, request) : Continuable.suspend(request)
    }

    private static List<Class> categories() { Continuable.categories + [Iterators] }

    private Object invoker() {
        sandboxed ? Class.forName('com.cloudbees.groovy.cps.sandbox.SandboxInvoker').newInstance() : new DefaultInvoker()
    }

    private static CompilationCustomizer sandboxTransformer() {
        Class.forName('com.cloudbees.groovy.cps.SandboxCpsTransformer').newInstance() as CompilationCustomizer
    }

    private static GroovyClassLoader loader(ClassLoader parent, CompilationCustomizer transformer) {
        CompilerConfiguration configuration = new CompilerConfiguration()
        configuration.addCompilationCustomizers(transformer, new DeclarativeRules())
        configuration.scriptBaseClass = PipelineScript.name
        configuration.sourceEncoding = 'UTF-8'
        return new GroovyClassLoader(parent, configuration)
    }

    /** What a controller's restart does. */
    private Object restore(Object graph, int most) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream()
        try {
            new ObjectOutputStream(bytes).withCloseable { it.writeObject(graph) }
        } catch (NotSerializableException failed) {
            throw new HarnessError("a restart would lose the build: ${failed.message} is not serialisable, at ${build.steps ? build.steps.last().name : 'start'}")
        }
        if (bytes.size() > most) {
            throw new HarnessError("the saved program has ${bytes.size()} bytes at ${build.steps.last().name}: a large value is kept in a variable")
        }
        return new RestoringStream(new ByteArrayInputStream(bytes.toByteArray()), untrusted).withCloseable { it.readObject() }
    }
}
