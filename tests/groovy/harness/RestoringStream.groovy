package harness

/** Reads a saved program with the classes of its own loader. */
class RestoringStream extends ObjectInputStream {
    final ClassLoader loader

    RestoringStream(InputStream input, ClassLoader loader) {
        super(input)
        this.loader = loader
    }

    @Override
    protected Class<?> resolveClass(ObjectStreamClass description) {
        try {
            return Class.forName(description.name, false, loader)
        } catch (ClassNotFoundException ignored) {
            return super.resolveClass(description)
        }
    }
}
