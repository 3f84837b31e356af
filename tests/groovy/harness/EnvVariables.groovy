package harness

/** `env`: a GroovyObject, so that `env.NAME` is a variable of the build; it has no `[name]`. */
class EnvVariables implements Serializable {
    private static final long serialVersionUID = 1

    Object propertyMissing(String name) { Controller.current.build.environment()[name] }

    void propertyMissing(String name, Object value) {
        Controller.current.build.assigned[name] = value.toString()
    }
}
