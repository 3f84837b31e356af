package harness

import org.kohsuke.groovy.sandbox.GroovyInterceptor

/**
 * The sandbox of a folder library: whatever is not listed is refused, and the refusal fails the test.
 *
 * The lists hold what a real controller's sandbox was seen to allow, and nothing this library does not use.
 */
class Sandbox extends GroovyInterceptor {
    private static final Map<Class, List<String>> METHODS = [
        (CharSequence): ['plus', 'contains', 'startsWith', 'replace', 'replaceAll', 'tokenize', 'trim', 'take', 'toString',
                         'getBytes', 'substring', 'length', 'toLowerCase', 'toInteger'],
        (List): ['contains', 'join', 'plus', 'leftShift', 'isEmpty', 'size', 'first', 'last', 'drop', 'toSorted', 'collect', 'addAll', 'findAll'],
        (Map): ['put', 'remove', 'subMap', 'findAll', 'plus', 'get', 'putAll'],
        (Number): ['plus', 'minus', 'div', 'multiply'],
        (Base64.Encoder): ['encodeToString'],
        (Class): ['isInstance'],
        (RunWrapper): ['getBuildCauses'],
        (CurrentBuild): ['getBuildCauses'],
    ]
    private static final Map<Class, List<String>> STATIC = [
        (groovy.json.JsonOutput): ['toJson'], (UUID): ['randomUUID'], (System): ['currentTimeMillis'],
        (org.codehaus.groovy.runtime.ScriptBytecodeAdapter): ['compareEqual', 'compareNotEqual', 'compareLessThan', 'compareGreaterThan', 'matchRegex', 'isCase'],
        (org.kohsuke.groovy.sandbox.impl.Checker): ['checkedCast'],
    ]
    private static final Map<Class, List<String>> PROPERTIES = [
        (Map.Entry): ['key', 'value'],
        (CurrentBuild): ['description', 'number', 'upstreamBuilds'],
        (Throwable): ['message'],     // Throwable.getMessage is on script-security's generic list
    ]

    final List<String> refused = []
    private final Set<String> used = [] as Set

    /** What the lists allow and nothing asked for. */
    List<String> unused() {
        List<String> all = [METHODS, STATIC, PROPERTIES].collectMany { lists ->
            lists.collectMany { type, names -> names.collect { "${type.name} ${it}".toString() } }
        }
        return all - used
    }

    @Override
    Object onMethodCall(GroovyInterceptor.Invoker invoker, Object receiver, String method, Object... args) {
        if (receiver instanceof EnvVariables) { refuse("method ${method} of env") }
        if (!own(receiver) && !listed(METHODS, receiver, method)) { refuse("method ${name(receiver)} ${method}") }
        if (method in ['sort', 'toSorted'] && args) { refuse("${method} with a closure") }
        return super.onMethodCall(invoker, receiver, method, args)
    }

    @Override
    Object onStaticCall(GroovyInterceptor.Invoker invoker, Class receiver, String method, Object... args) {
        boolean ofEngine = method == 'asType' && args[1].isArray()  // how it makes a GString
        boolean allowed = ofEngine || ownClass(receiver) || STATIC[receiver]?.contains(method)
        if (STATIC[receiver]?.contains(method)) { used << "${receiver.name} ${method}".toString() }
        if (!allowed) { refuse("staticMethod ${receiver.name} ${method}") }
        return super.onStaticCall(invoker, receiver, method, args)
    }

    @Override
    Object onNewInstance(GroovyInterceptor.Invoker invoker, Class receiver, Object... args) {
        if (!ownClass(receiver) && !(receiver in [Exception, Object, PipelineScript, org.codehaus.groovy.runtime.GStringImpl])) { refuse("new ${receiver.name}") }
        return super.onNewInstance(invoker, receiver, args)
    }

    @Override
    Object onGetProperty(GroovyInterceptor.Invoker invoker, Object receiver, String property) {
        boolean allowed = own(receiver) || receiver instanceof Map || receiver instanceof EnvVariables ||
            listed(PROPERTIES, receiver, property) || receiver == Base64 && property == 'encoder'
        // a library may ask and has to live with the answer: why a build was interrupted is for trusted code
        if (receiver instanceof FlowInterruptedException && property == 'causes') { throw new SecurityException('not permitted (sandbox)') }
        if (!allowed) { refuse("property ${name(receiver)}.${property}") }
        return super.onGetProperty(invoker, receiver, property)
    }

    @Override
    Object onSetProperty(GroovyInterceptor.Invoker invoker, Object receiver, String property, Object value) {
        boolean allowed = own(receiver) || receiver instanceof Map || receiver instanceof EnvVariables ||
            receiver instanceof CurrentBuild && property in ['description', 'displayName', 'keepLog', 'result']
        if (!allowed) { refuse("set property ${name(receiver)}.${property}") }
        return super.onSetProperty(invoker, receiver, property, value)
    }

    @Override
    Object onGetAttribute(GroovyInterceptor.Invoker invoker, Object receiver, String attribute) {
        if (!own(receiver)) { refuse("field ${name(receiver)} ${attribute}") }
        return super.onGetAttribute(invoker, receiver, attribute)
    }

    @Override
    Object onSetAttribute(GroovyInterceptor.Invoker invoker, Object receiver, String attribute, Object value) {
        if (!own(receiver)) { refuse("set field ${name(receiver)} ${attribute}") }
        return super.onSetAttribute(invoker, receiver, attribute, value)
    }

    @Override
    Object onGetArray(GroovyInterceptor.Invoker invoker, Object receiver, Object index) {
        if (!(receiver instanceof List || receiver instanceof Map)) { refuse("${name(receiver)}[${index}]") }
        return super.onGetArray(invoker, receiver, index)
    }

    @Override
    Object onSetArray(GroovyInterceptor.Invoker invoker, Object receiver, Object index, Object value) {
        if (!(receiver instanceof List || receiver instanceof Map)) { refuse("${name(receiver)}[${index}] = …") }
        return super.onSetArray(invoker, receiver, index, value)
    }

    /** Scripts, their closures and the classes that came with them may do among themselves what they like. */
    private static boolean own(Object receiver) {
        receiver == null || receiver instanceof Class && ownClass(receiver) || receiver instanceof PipelineScript ||
            receiver instanceof Closure || ownClass(receiver.getClass())
    }

    private static boolean ownClass(Class type) {
        type.classLoader instanceof GroovyClassLoader.InnerLoader && !type.name.startsWith('harness.')
    }

    private boolean listed(Map<Class, List<String>> lists, Object receiver, String name) {
        Class found = lists.keySet().find { type -> type.isInstance(receiver) && lists[type].contains(name) }
        if (found != null) { used << "${found.name} ${name}".toString() }
        return found != null
    }

    private static String name(Object receiver) { receiver instanceof Class ? "class ${receiver.name}" : receiver.getClass().name }

    private void refuse(String what) {
        String message = "Scripts not permitted to use ${what} (sandbox)"
        refused << message
        throw new SecurityException(message)
    }
}
