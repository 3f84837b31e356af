package harness

/** Global variables that a restart keeps. */
class SerialisableBinding extends Binding implements Serializable {
    private static final long serialVersionUID = 1

    private void writeObject(ObjectOutputStream stream) { stream.writeObject(new LinkedHashMap(variables)) }

    private void readObject(ObjectInputStream stream) {
        java.lang.reflect.Field field = Binding.getDeclaredField('variables')
        field.accessible = true
        field.set(this, stream.readObject())
    }
}
