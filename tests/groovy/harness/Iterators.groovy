package harness

/** As Jenkins does it: a loop that is saved in the middle keeps its place. */
class Iterators {
    static <T> Iterator<T> iterator(ArrayList<T> list) { new SavedIterator<T>(new ArrayList(list)) }

    static <K, V> Iterator<Map.Entry<K, V>> iterator(Map<K, V> map) {
        new SavedIterator(map.entrySet().collect { new AbstractMap.SimpleImmutableEntry(it.key, it.value) })
    }

    static <T> Iterator<T> iterator(Set<T> set) { new SavedIterator<T>(new ArrayList(set)) }
}
