// The help of each step names the keys that its code takes, and these are options that the command has.
import harness.World

List<String> steps(World world) { new File(world.controller.root, 'vars').list().findAll { it.endsWith('.groovy') }*.replace('.groovy', '').sort() }

List<String> taken(World world, String step) {
    String line = World.error(world.build("${step}(nonsense: 1)"))
    ((line =~ /it takes (.*)\)/)[0][1] as String).split(', ').toList()
}

/** The one table of steps and parameters, as the library carries it. */
Map table(World world) {
    new groovy.json.JsonSlurperClassic().parse(world.controller.resource('io/github/gitopsrollback/parameters.json')) as Map
}

scenario('the help of each step names exactly the keys that it takes') { World world ->
    same(steps(world), table(world).steps.keySet().sort(false))
    steps(world).each { step ->
        String help = new File(world.controller.root, "vars/${step}.txt").getText('UTF-8')
        List described = (help =~ /(?m)^\w+ \*\*(\w+)\*\*: \(/).collect { it[1] }
        same([step, described.sort(false)], [step, taken(world, step).sort(false)])
    }
}

scenario('steps and classes stay small') { World world ->
    new File(world.controller.root, 'vars').eachFileMatch(~/.*\.groovy/) { same([it.name, it.readLines().size() <= 40], [it.name, true]) }
    new File(world.controller.root, 'src').eachFileRecurse { if (it.isFile()) { same([it.name, it.readLines().size() <= (it.name == 'HelperProgram.groovy' ? 200 : 150)], [it.name, true]) } }
}
