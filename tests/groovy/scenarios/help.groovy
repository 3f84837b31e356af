// The help of each step names the keys that its code takes, and these are options that the command has.
import harness.World

List<String> steps(World world) { new File(world.controller.root, 'vars').list().findAll { it.endsWith('.groovy') }*.replace('.groovy', '').sort() }

List<String> taken(World world, String step) {
    String line = World.error(world.build("${step}(nonsense: 1)"))
    ((line =~ /it takes (.*)\)/)[0][1] as String).split(', ').toList()
}

scenario('the help of each step names exactly the keys that it takes') { World world ->
    same(steps(world), ['gitopsBuildImage', 'gitopsCheck', 'gitopsDeploy', 'gitopsFindPreviousImage', 'gitopsRecordImage', 'gitopsRelease', 'gitopsRollback'])
    steps(world).each { step ->
        String help = new File(world.controller.root, "vars/${step}.txt").getText('UTF-8')
        List described = (help =~ /(?m)^\w+ \*\*(\w+)\*\*: \(/).collect { it[1] }
        same([step, described.sort(false)], [step, taken(world, step).sort(false)])
    }
}

scenario('each key of a step is an option of its command') { World world ->
    Map commands = [gitopsCheck: 'check', gitopsDeploy: 'deploy', gitopsFindPreviousImage: 'plan', gitopsRecordImage: 'record', gitopsRelease: 'release', gitopsRollback: 'rollback']
    List others = ['services', 'images', 'approvedBy', 'lock', 'report', 'gitCredentialsId', 'jenkinsCredentialsId', 'dockerHubCredentialsId', 'registryCredentialsId',
                   'registryHost', 'useInstalled', 'wait', 'waitTimeout', 'kubeContext', 'kustomization', 'autoRollback', 'kubeconfigCredentialsId']
    commands.each { step, command ->
        world.step("gitopsRecordImage(service: 'cart')")
        String helper = world.sharedHelper.listFiles().max { it.lastModified() }
        Process process = ['env', "PYTHONPATH=${helper}", 'python3', '-m', 'gitops_rollback', command, '--help'].execute()
        String help = process.text
        (taken(world, step) - others).each { key ->
            String option = '--' + key.replaceAll(/([A-Z])/, '-$1').toLowerCase()
            if (!(help =~ /(?m)^ *(-\w, )?${option}\b/)) { throw new AssertionError("${command} has no ${option} (${step})" as Object) }
        }
    }
}

scenario('steps and classes stay small') { World world ->
    new File(world.controller.root, 'vars').eachFileMatch(~/.*\.groovy/) { same([it.name, it.readLines().size() <= 40], [it.name, true]) }
    new File(world.controller.root, 'src').eachFileRecurse { if (it.isFile()) { same([it.name, it.readLines().size() <= 150], [it.name, true]) } }
}
