package harness

import com.cloudbees.groovy.cps.impl.CpsCallableInvocation

/** `[3, 1, 2].sort { it }` returns what its closure returns: the engine notices, we fail. */
class Mismatch {
    static void watch() {
        Class type = Class.forName(CpsCallableInvocation.name + '$MismatchHandler')
        Object handler = java.lang.reflect.Proxy.newProxyInstance(type.classLoader, [type] as Class[],
            { proxy, method, arguments ->
                if (method.name != 'handle') { return method.name == 'hashCode' ? 1 : false }
                Object expected = arguments[0]
                Object actual = arguments[2]
                if (actual instanceof Closure && !(expected instanceof Closure) && !(expected instanceof PipelineScript)) {
                    String message = "${expected?.getClass()?.simpleName}.${arguments[1]} calls a closure that is a program of steps: wrong result"
                    Controller.current.build.harnessErrors << message
                }
                return null
            } as java.lang.reflect.InvocationHandler)
        CpsCallableInvocation.registerMismatchHandler(handler)
    }
}
