package harness

/** `currentBuild`: stays the same build whatever was saved and restored meanwhile. */
class CurrentBuild implements Serializable {
    private static final long serialVersionUID = 1

    Object getProperty(String name) { Controller.current.build.run.getProperty(name) }

    void setProperty(String name, Object value) {
        if (!(name in ['description', 'displayName', 'keepLog', 'result'])) {
            throw new HarnessError("currentBuild.${name} cannot be set")
        }
        if (name != 'result' && Controller.current.build.isDiskFull) { throw new IOException('No space left on device') }
        Controller.current.build.run.setProperty(name, value instanceof GString ? value.toString() : value)
    }

    Object invokeMethod(String name, Object args) { Controller.current.build.run.invokeMethod(name, args) }

    List<Map> getBuildCauses(String className = null) { Controller.current.build.run.getBuildCauses(className) }
}
