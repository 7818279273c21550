# The small evaluator: NixOS' module system, as far as our modules use it, for machines without nixpkgs.
#
# Not supported, therefore not used by our modules: readOnly, disabledModules, _module, mkOrder, mkBefore, mkAfter,
# and freeform keys below a declared option.
let
  inherit (builtins)
    all
    attrNames
    concatLists
    concatMap
    concatStringsSep
    elem
    filter
    foldl'
    functionArgs
    genericClosure
    head
    intersectAttrs
    isAttrs
    isFunction
    isPath
    isString
    length
    listToAttrs
    map
    removeAttrs
    seq
    ;

  is = kind: value: isAttrs value && (value._type or null) == kind;
  isOption = is "option";
  showLoc = concatStringsSep ".";
  fail = loc: text: throw "option ${showLoc loc}: ${text}";
  unique = foldl' (seen: name: if elem name seen then seen else seen ++ [ name ]) [ ];
  reverse = foldl' (done: item: [ item ] ++ done) [ ];

  # Strength of definitions, the smaller the stronger.
  strength = {
    plain = 100;
    optionDefault = 1500;
  };

  # A value with its properties, as the list of { strength, value } that is switched on.
  discharge =
    current: value:
    if is "if" value then
      (if value.condition then discharge current value.content else [ ])
    else if is "merge" value then
      concatMap (discharge current) value.contents
    else if is "override" value then
      discharge value.priority value.content
    else
      [
        {
          strength = current;
          inherit value;
        }
      ];

  # What remains of definitions when only the strongest count.
  strongest =
    found:
    let
      best = foldl' (least: one: if one.strength < least then one.strength else least) 9999 found;
    in
    map (one: one.value) (filter (one: one.strength == best) found);

  # Definitions of one key, with their properties pushed down to it and no condition looked at.
  below =
    loc: name: value:
    if is "if" value then
      map (inner: value // { content = inner; }) (below loc name value.content)
    else if is "merge" value then
      concatMap (below loc name) value.contents
    else if is "override" value then
      map (inner: value // { content = inner; }) (below loc name value.content)
    else if !isAttrs value then
      fail loc "a set of options is defined by something that is no set"
    else if value ? ${name} then
      [ value.${name} ]
    else
      [ ];

  # Every key that definitions name, switched on or not.
  keysOf =
    loc: value:
    if is "if" value || is "override" value then
      keysOf loc value.content
    else if is "merge" value then
      concatMap (keysOf loc) value.contents
    else if !isAttrs value then
      fail loc "a set of options is defined by something that is no set"
    else
      attrNames value;

  longKeys = [
    "_file"
    "config"
    "freeformType"
    "imports"
    "key"
    "options"
  ];

  # A module of any form in the long form.
  normal =
    args: key: module:
    let
      raw = if isPath module || isString module then import module else module;
      called =
        if !isFunction raw then
          raw
        else if functionArgs raw == { } then
          raw args
        else
          let
            wanted = attrNames (functionArgs raw);
            missing = filter (name: !(args ? ${name}) && !(functionArgs raw).${name}) wanted;
          in
          if missing == [ ] then
            # All of them: `args` may have more than the pattern names, where it ends with dots.
            raw (intersectAttrs (functionArgs raw) args)
          else
            throw "module ${key}: nothing is handed over as ${concatStringsSep ", " missing}";
      isLong = called ? config || called ? options || called ? imports || called ? freeformType;
      strange = filter (name: !(elem name longKeys)) (attrNames called);
    in
    if !isAttrs called then
      throw "module ${key}: neither a set nor a function that makes one"
    else if isLong && strange != [ ] then
      throw "module ${key}: ${concatStringsSep ", " strange} stands beside options or config; move it into config"
    else
      {
        inherit key;
        imports = called.imports or [ ];
        options = called.options or { };
        config = if isLong then called.config or { } else removeAttrs called longKeys;
        freeform = called.freeformType or null;
      };

  # All modules, breadth first, a path once.
  collect =
    args: modules:
    let
      node =
        parent: index: module:
        let
          key = if isPath module then toString module else "${parent}:${toString index}";
        in
        {
          inherit key;
          module = normal args key module;
        };
      nodes =
        parent: list:
        builtins.genList (index: node parent index (builtins.elemAt list index)) (length list);
    in
    map (found: found.module) (genericClosure {
      startSet = nodes "module" modules;
      operator = found: nodes found.key found.module.imports;
    });

  # The declared options of all modules as one tree.
  joinOptions =
    loc: trees:
    let
      names = unique (concatMap attrNames trees);
      at =
        name:
        let
          found = map (tree: tree.${name}) (filter (tree: tree ? ${name}) trees);
          here = loc ++ [ name ];
        in
        if all (one: !isOption one) found then
          joinOptions here found
        else if length found == 1 then
          head found
        else
          fail here "declared twice";
    in
    listToAttrs (
      map (name: {
        inherit name;
        value = at name;
      }) names
    );

  # The value of one option out of its definitions.
  valueOf =
    loc: option: definitions:
    let
      defaults = if option ? default then discharge strength.optionDefault option.default else [ ];
      found = concatMap (discharge strength.plain) definitions ++ defaults;
      merged = mergeAs loc option.type (strongest found);
      value =
        if found != [ ] then
          merged
        else if option.type ? empty then
          option.type.empty loc
        else
          fail loc "is used and has no value; define it";
    in
    if option ? apply then option.apply value else value;

  # Merges values by a type, each checked first.
  mergeAs =
    loc: type: values:
    let
      bad = filter (value: !type.check value) values;
    in
    if bad != [ ] then fail loc "${describe (head bad)} is not ${type.what}" else type.merge loc values;

  describe =
    value:
    if isFunction value then
      "a function"
    else if isAttrs value then
      "a set with ${concatStringsSep ", " (attrNames value)}"
    else if builtins.isList value then
      "a list"
    else
      builtins.toJSON value;

  evaluate =
    {
      modules,
      args ? { },
      at ? [ ],
    }:
    let
      all' = collect (args // { inherit config options; }) modules;
      options = joinOptions at (map (module: module.options) all');
      freeforms = filter (type: type != null) (map (module: module.freeform) all');
      # The real library goes through imports breadth first and joins in the reverse order.
      definitions = map (module: module.config) (reverse all');

      values =
        loc: tree: defs:
        builtins.mapAttrs (
          name: option:
          let
            here = loc ++ [ name ];
            inner = concatMap (below loc name) defs;
          in
          if isOption option then valueOf here option inner else values here option inner
        ) tree;

      unknown =
        loc: tree: defs:
        let
          names = unique (concatMap (keysOf loc) defs);
          at' =
            name:
            if !(tree ? ${name}) then
              [ (loc ++ [ name ]) ]
            else if isOption tree.${name} then
              [ ]
            else
              unknown (loc ++ [ name ]) tree.${name} (concatMap (below loc name) defs);
        in
        concatMap at' names;

      strangers = unknown at options definitions;
      declared = values at options definitions;
      free =
        let
          names = filter (name: !(options ? ${name})) (unique (concatMap (keysOf at) definitions));
          only = name: concatMap (below at name) definitions;
          defined = map (name: map (value: { ${name} = value; }) (only name)) names;
        in
        if freeforms == [ ] then { } else mergeAs at (head freeforms) (concatLists defined);
      config = free // declared;
      checked =
        if freeforms == [ ] && strangers != [ ] then
          throw "there is no option ${concatStringsSep ", " (map showLoc strangers)}; look at docs/options.md"
        else
          config;
    in
    {
      inherit options;
      config = checked;
    };
in
{
  inherit
    discharge
    evaluate
    fail
    isOption
    mergeAs
    strength
    strongest
    unique
    ;
  # Forces a value as far as its JSON goes, and answers another.
  force = value: answer: seq (builtins.toJSON value) answer;
}
