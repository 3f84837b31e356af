package harness

/** Ant's path patterns, as far as `archiveArtifacts` and `stash` are used with them. */
class Patterns {
    static List<File> find(File root, String patterns) {
        List<String> globs = patterns.split(',')*.trim().findAll { it }.collect { it.endsWith('/') ? it + '**' : it }
        List<File> found = []
        if (root.isDirectory()) {
            root.eachFileRecurse { file ->
                String path = root.toPath().relativize(file.toPath()).toString()
                if (file.isFile() && !path.split('/').contains('.git') && globs.any { matches(path, it) }) { found << file }
            }
        }
        return found.sort { it.path }
    }

    static boolean matches(String path, String glob) {
        String regex = glob.replaceAll(/([.+()\[\]{}^|\\$])/, '\\\\$1')
            .replace('**/', '\u0001').replace('**', '\u0002').replace('*', '[^/]*').replace('?', '[^/]')
            .replace('\u0001', '(?:.*/)?').replace('\u0002', '.*')
        return path ==~ regex
    }
}
