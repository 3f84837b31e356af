// Declarative pipelines: each section is a class with one real method for each directive it knows; an unknown one fails.
import harness.Controller
import harness.Declared
import harness.HarnessError

Object pipeline(Closure body) {
    PipelineSection section = new PipelineSection()
    section.read(body)
    section.check()
    Declared.parameters(section.parameters)
    if (section.agent == null) {
        throw new HarnessError('pipeline: agent is missing')
    }
    Throwable failure = null
    try {
        onAgent(section.agent) { runStages(section.stageList) }
    } catch (Throwable failed) {
        failure = failed
    }
    Declared.note(failure)
    runPost(section.postSection)
    if (failure != null) {
        throw failure
    }
    return null
}

/** Runs stages; a run that was restarted from one of the outermost ones skips what stands before it, with all its values. */
void runStages(List stages, boolean outermost = true) {
    boolean skipped = outermost && Declared.restartedFrom() != null
    for (StageSection one in stages) {
        skipped = skipped && one.name != Declared.restartedFrom()
        if (skipped) {
            echo "Stage \"${one.name}\" skipped due to this build restarting at stage \"${Declared.restartedFrom()}\""
        } else {
            runStage(one)
        }
    }
}

void runStage(StageSection section) {
    stage(section.name) {
        inTime(section) { runInAgent(section) }
    }
}

void inTime(StageSection section, Closure body) {
    Map limit = section.limit
    if (limit == null) {
        body()
    } else {
        timeout(limit) { body() }
    }
}

void runInAgent(StageSection section) {
        if (section.condition != null && section.condition.beforeAgent) {
            runGuarded(section)
        } else {
            onAgent(section.agent) { runGuarded(section, false) }
        }
}

void runGuarded(StageSection section, boolean agentLater = true) {
    if (section.condition != null && !section.condition.holds()) {
        echo "Stage \"${section.name}\" skipped due to when conditional"
        return
    }
    if (agentLater) {
        onAgent(section.agent) { runSteps(section) }
    } else {
        runSteps(section)
    }
}

void runSteps(StageSection section) {
    Throwable failure = null
    try {
        if (section.parallelList != null) {
            runTogether(section.parallelList)
        } else if (section.stageList == null) {
            section.body()
        } else {
            runStages(section.stageList, false)
        }
    } catch (Throwable failed) {
        failure = failed
    }
    Declared.note(failure)
    runPost(section.postSection)
    if (failure != null) {
        throw failure
    }
}

void runTogether(List stages) {
    Map branches = [:]
    for (StageSection one in stages) {
        StageSection each = one
        branches[each.name] = { runStage(each) }
    }
    parallel(branches)
}

void runPost(PostSection section) {
    if (section == null) {
        return
    }
    for (Closure body in section.applicable(currentBuild.currentResult)) {
        body()
    }
}

void onAgent(Map agent, Closure body) {
    if (agent == null || agent.label == null) {
        body()
    } else {
        node(agent.label) { body() }
    }
}

class Section implements Serializable {
    Object propertyMissing(String name) {
        if (name in ['env', 'params', 'currentBuild']) {
            return Controller.current.global(name)
        }
        throw new HarnessError("${getClass().simpleName}: unknown word '${name}'")
    }

    void read(Closure body) {
        body.delegate = this
        body.resolveStrategy = Closure.DELEGATE_ONLY
        body()
    }

    static Closure leaf(Closure body) {
        body.delegate = body.thisObject
        body.resolveStrategy = Closure.DELEGATE_ONLY
        return body
    }
}

class AgentSection extends Section {
    Map found

    void label(String name) { found = [label: name] }
}

class Agents extends Section {
    Map agent

    String getAny() { 'any' }

    String getNone() { 'none' }

    void agent(String which) {
        if (which == 'any') {
            agent = [label: '']
        } else if (which == 'none') {
            agent = [:]
        } else {
            throw new HarnessError("agent: unknown '${which}'")
        }
    }

    void agent(Closure body) {
        AgentSection section = new AgentSection()
        section.read(body)
        agent = section.found
    }
}

class TriggersSection extends Section {
    void cron(String when) {
        if (!(when ==~ /([H*]|\d+)( ([H*]|\d+)){4}/)) { throw new HarnessError("cron: '${when}' is no time") }
    }
}

class PipelineSection extends Agents {
    List parameters = []
    List stageList
    PostSection postSection

    void options(Closure body) { new OptionsSection().read(body) }

    void triggers(Closure body) { new TriggersSection().read(body) }

    void parameters(Closure body) {
        ParametersSection section = new ParametersSection()
        section.read(body)
        parameters = section.found
    }

    void stages(Closure body) {
        StagesSection section = new StagesSection()
        section.read(body)
        stageList = section.found
    }

    void post(Closure body) {
        postSection = new PostSection()
        postSection.read(body)
    }

    void check() {
        if (!stageList) {
            throw new HarnessError('pipeline: stages is missing')
        }
        if (!Controller.current.build.skipsCheckout) {
            throw new HarnessError('pipeline: the checkout that each agent begins with is not imitated, skip it')
        }
    }
}

class OptionsSection extends Section {
    Map limit

    void disableConcurrentBuilds() { }

    void skipDefaultCheckout() { Declared.skipCheckout() }

    void timeout(Map given) {
        Declared.known('timeout', given, ['time', 'unit'])
        limit = given
    }

    void buildDiscarder(Object strategy) {
        if (!(strategy instanceof Map)) {
            throw new HarnessError('buildDiscarder wants logRotator')
        }
    }

    Map logRotator(Map given) {
        Declared.known('logRotator', given, ['numToKeepStr', 'daysToKeepStr', 'artifactNumToKeepStr', 'artifactDaysToKeepStr'])
        return given
    }
}

class ParametersSection extends Section {
    List found = []

    void string(Map given) { add('string', given, ['name', 'defaultValue', 'description', 'trim']) }

    void text(Map given) { add('text', given, ['name', 'defaultValue', 'description']) }

    void booleanParam(Map given) { add('boolean', given, ['name', 'defaultValue', 'description']) }

    void choice(Map given) { add('choice', given, ['name', 'choices', 'description']) }

    private void add(String type, Map given, List known) {
        Declared.known(type, given, known)
        found << ([type: type] + given)
    }
}

class StagesSection extends Section {
    List found = []

    void stage(String name, Closure body) {
        StageSection section = new StageSection(name: name)
        section.read(body)
        if ([section.body, section.stageList, section.parallelList].count { it != null } != 1) {
            throw new HarnessError("stage '${name}' has not one of steps, stages and parallel")
        }
        if (found.any { it.name == name }) {
            throw new HarnessError("Duplicate stage name: ${name}")
        }
        found << section
    }
}

class StageSection extends Agents {
    String name
    WhenSection condition
    Closure body
    List stageList
    List parallelList
    Map limit
    PostSection postSection

    void parallel(Closure given) {
        StagesSection section = new StagesSection()
        section.read(given)
        parallelList = section.found
    }

    void when(Closure given) {
        condition = new WhenSection()
        condition.read(given)
    }

    void steps(Closure given) { body = leaf(given) }

    void stages(Closure given) {
        StagesSection section = new StagesSection()
        section.read(given)
        stageList = section.found
    }

    void options(Closure given) {
        OptionsSection section = new OptionsSection()
        section.read(given)
        limit = section.limit
    }

    void post(Closure given) {
        postSection = new PostSection()
        postSection.read(given)
    }
}

class WhenSection extends Section {
    boolean beforeAgent = false
    List conditions = []

    void beforeAgent(boolean given) { beforeAgent = given }

    void expression(Closure given) { conditions << leaf(given) }

    boolean holds() {
        for (Closure one in conditions) {
            if (!one()) {
                return false
            }
        }
        return true
    }
}

class PostSection extends Section {
    List always = []
    Map byResult = [:]

    void always(Closure body) { always << leaf(body) }

    void success(Closure body) { byResult.SUCCESS = leaf(body) }

    void failure(Closure body) { byResult.FAILURE = leaf(body) }

    void aborted(Closure body) { byResult.ABORTED = leaf(body) }

    void cleanup(Closure body) { byResult.cleanup = leaf(body) }

    List applicable(String result) {
        List found = [] + always
        if (byResult[result] != null) {
            found << byResult[result]
        }
        if (byResult.cleanup != null) {
            found << byResult.cleanup
        }
        return found
    }
}
