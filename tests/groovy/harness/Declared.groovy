package harness

/** What declarative sections ask of the build. */
class Declared {
    /** The values that `params` has: what was given, else the defaults; unknown ones are dropped in silence. */
    static void parameters(List<Map> declared) {
        Build build = Controller.current.build
        Map values = new LinkedHashMap(build.jobParameters)
        List<String> names = declared*.name
        if (names.unique(false) != names) { throw new HarnessError("parameters declared twice: ${names}") }
        declared.each { Map one ->
            String name = one.name.toString()
            if (!(name ==~ /[A-Z][A-Z0-9_]*/) || !one.description) {
                throw new HarnessError("parameter ${name}: no description")
            }
            Object given = build.started[name]
            switch (one.type) {
                case 'boolean':
                    values[name] = given == null ? (one.defaultValue ?: false) : given.toString() == 'true'
                    break
                case 'choice':
                    if (given != null && !(given in one.choices)) {
                        throw new HarnessError("Jenkins answers 500 to ${name}=${given}")
                    }
                    values[name] = given ?: one.choices[0]
                    break
                default:
                    String text = (given == null ? (one.defaultValue ?: '') : given).toString()
                    values[name] = one.trim ? text.trim() : text
            }
        }
        build.declared = declared
        if (build.firstRun && build.started) {
            throw new HarnessError('a job without parameters cannot be started with parameters')
        }
        build.params = values
    }

    static void known(String what, Map given, List names) {
        List unknown = given.keySet().toList() - names
        if (unknown) {
            throw new HarnessError("${what}: unknown ${unknown}")
        }
    }

    /** The outermost stage that somebody restarted the build from, if anybody did. */
    static String restartedFrom() { Controller.current.build.restartedFrom }

    static void skipCheckout() { Controller.current.build.skipsCheckout = true }

    static void note(Throwable failure) {
        if (failure == null) {
            return
        }
        Controller.current.build.run.result = failure instanceof FlowInterruptedException ? 'ABORTED' : 'FAILURE'
    }
}
