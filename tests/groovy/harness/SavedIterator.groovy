package harness

/** An iterator that keeps its place when the program is saved. */
class SavedIterator<T> implements Iterator<T>, Serializable {
    private static final long serialVersionUID = 1
    private final ArrayList<T> items
    private int at = 0

    SavedIterator(List<T> items) { this.items = new ArrayList(items) }

    boolean hasNext() { at < items.size() }

    T next() { items[at++] }
}
